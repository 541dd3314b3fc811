//! Runs `examples/echo_service.rs` and `examples/echo_client.rs`: the client reaches the service.

use i2p_sam::{Bridge, KeyFile};
use sam_testkit::{Dialect, TestBridge};

#[allow(dead_code, reason = "the tests do not use its main function")]
#[path = "../../examples/echo_client.rs"]
mod echo_client;
#[allow(dead_code, reason = "the tests do not use its main function")]
#[path = "../../examples/echo_service.rs"]
mod echo_service;

#[tokio::test]
async fn the_echo_client_reaches_the_echo_service() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary] {
        let kit = TestBridge::start_as(dialect).await;
        let bridge = Bridge::new(kit.address());
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyFile::new(directory.path().join("echo.dat"));
        let session = echo_service::open(&bridge, &keys).await.unwrap();
        let address = session.destination().b32().into();
        let service = tokio::spawn(echo_service::serve(session));
        let answer = echo_client::ask(&bridge, &address, "hello, I2P").await.unwrap();
        assert_eq!(answer, "hello, I2P", "{dialect:?}");

        // With its key file, a restarted service has the same address.
        kit.drop_control_connections();
        service.await.unwrap();
        let session = echo_service::open(&bridge, &keys).await.unwrap();
        assert_eq!(i2p_name::I2pName::from(session.destination().b32()), address, "{dialect:?}");
    }
}
