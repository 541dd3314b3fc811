//! Routers that are dropped while they work end without a panic.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use i2p_embedded::{EmbeddedRouter, PrivateNetwork};

use crate::turn;

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn dropping_routers_is_no_panic() {
    let _turn = turn().await;
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    let network = PrivateNetwork::builder().start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let router = EmbeddedRouter::builder(state.path()).join_network(&network).start().await.unwrap();
        // At some point while its first tunnels are being built, when all its parts are active.
        tokio::time::sleep(Duration::from_micros(round % 20 * 100)).await;
        drop(router);
    }
    drop(network);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
