//! A SAM bridge for a machine that has no I2P router: starts an embedded router and prints the address for programs to use.
//!
//! ```sh
//! cargo run --release -p i2p-embedded --example bridge -- STATE_DIRECTORY
//! cargo run --release -p i2p-embedded --example bridge -- STATE_DIRECTORY private
//! ```
//!
//! With `private`, the router is part of a private network in the same process: that needs no internet and gives no anonymity.

use std::{env, error::Error, io, net::SocketAddr, path::Path};

use i2p_embedded::{EmbeddedRouter, PrivateNetwork, Progress};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let state_dir = arguments.next().ok_or("usage: bridge STATE_DIRECTORY [private]")?;
    let network = match arguments.next() {
        Some(_) => Some(PrivateNetwork::builder().start().await?),
        None => None,
    };
    run(state_dir.as_ref(), network.as_ref(), |address| println!("SAM {address}")).await
}

/// Runs a router, and passes the address of its bridge on. Returns only if the router stops; dropping the future stops it.
pub(crate) async fn run(
    state_dir: &Path,
    network: Option<&PrivateNetwork>,
    started: impl FnOnce(SocketAddr),
) -> Result<(), Box<dyn Error>> {
    let mut router = EmbeddedRouter::builder(state_dir).on_progress(report);
    if let Some(network) = network {
        router = router.join_network(network);
    }
    let router = router.start().await?;
    started(router.sam_address());
    Err(io::Error::other(router.stopped().await.to_string()).into())
}

fn report(progress: Progress) {
    match progress {
        Progress::AskingReseedServers => eprintln!("asking reseed servers for other routers"),
        Progress::Started { known_routers } => eprintln!("started, knowing {known_routers} other routers"),
        Progress::Status { connected_peers, tunnels_built } => {
            eprintln!("connected to {connected_peers} routers, {tunnels_built} tunnels built");
        }
        _ => {}
    }
}
