//! Runs `examples/bridge.rs`: a SAM session opens at the address that it prints.

use i2p_embedded::PrivateNetwork;
use tokio::sync::mpsc;

use crate::warming;

#[allow(dead_code, reason = "its main function runs only when the example is a program of its own")]
#[path = "../../examples/bridge.rs"]
mod bridge;

#[tokio::test]
async fn a_session_opens_at_the_bridge_of_the_example() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let (sender, mut address) = mpsc::unbounded_channel();
    let running = bridge::run(state.path(), Some(&network), |address| sender.send(address).unwrap());
    let session = async { warming::session(address.recv().await.unwrap(), false).await };
    tokio::select! {
        ended = running => panic!("{ended:?}"),
        session = session => assert!(session.is_alive()),
    }
}
