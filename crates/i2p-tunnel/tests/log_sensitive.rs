//! Who asks to see hosts in the log sees them. In a process of its own: it holds for all of one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::log::Lines;
use common::{proxy, socks5_request};
use i2p_tunnel::show_sensitive;
use sam_testkit::TestBridge;

#[tokio::test]
async fn hosts_and_clients_are_shown_to_whoever_asks_for_it_and_not_before() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let log = || lines.text();
    proxy.exchange(&socks5_request("unknown.i2p", 80)).await;
    let before = log();
    assert!(before.contains("client=[scrubbed]") && before.contains("target=[scrubbed]"), "{before}");
    assert!(!before.contains("unknown.i2p") && !before.contains("127.0.0.1"), "{before}");
    show_sensitive(true);
    proxy.exchange(&socks5_request("unknown.i2p", 80)).await;
    let after = log();
    assert!(after.contains("client=127.0.0.1") && after.contains("target=unknown.i2p"), "{after}");
}
