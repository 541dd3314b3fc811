//! A router with a state directory: it joins a network, connects, keeps its identity, and ends when dropped.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use i2p_embedded::{EmbeddedRouter, Error, PrivateNetwork, Progress};
use tokio::net::TcpStream;

use crate::warming;

#[tokio::test]
async fn joins_a_network_and_connects() {
    let network = PrivateNetwork::builder().sam_bridges(1).start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = Arc::clone(&seen);
    let router = EmbeddedRouter::builder(state.path().join("router"))
        .join_network(&network)
        .on_progress(move |step| progress.lock().unwrap().push(step))
        .start()
        .await
        .unwrap();
    assert!(router.sam_address().ip().is_loopback());

    let bridge = network.sam_address(0).unwrap();
    let (server, client) =
        tokio::join!(warming::session(bridge, true), warming::session(router.sam_address(), false));
    let address = server.destination().b32().to_string();
    warming::echo(server);
    tokio::select! {
        () = warming::exchange(&client, &address) => {}
        reason = router.stopped() => panic!("{reason}"),
    }

    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], Progress::Started { known_routers: 4 });
    let ready = |step: &Progress| matches!(step, Progress::Status { connected_peers, tunnels_built } if *connected_peers > 0 && *tunnels_built > 0);
    assert!(seen.iter().any(ready), "{seen:?}");
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "the same numbers twice: {seen:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_state_directory_is_private_and_the_identity_stays() {
    use std::os::unix::fs::PermissionsExt;

    let network = PrivateNetwork::builder().start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("router");
    let start = || EmbeddedRouter::builder(&path).join_network(&network).start();
    let identity = |dir: &Path| {
        ["router.info", "static.key", "signing.key", "ntcp2.keys", "ssu2.keys"]
            .map(|file| std::fs::read(dir.join(file)).unwrap())
    };

    let first = start().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let before = identity(&path);
    assert!(matches!(start().await, Err(Error::StateDirectoryInUse { .. })));
    drop(first);
    let _second = start().await.unwrap();
    assert_eq!(before, identity(&path));
}

#[tokio::test]
async fn dropping_it_closes_its_bridge() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let router = EmbeddedRouter::builder(state.path()).join_network(&network).start().await.unwrap();
    let address = router.sam_address();
    TcpStream::connect(address).await.unwrap();
    drop(router);
    warming::until_ok("closed port", || async move {
        match TcpStream::connect(address).await {
            Ok(_) => Err("it still listens"),
            Err(_) => Ok(()),
        }
    })
    .await;
}
