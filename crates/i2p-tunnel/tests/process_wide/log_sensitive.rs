//! Hosts and clients appear in the log only if that is enabled.

use i2p_tunnel::show_sensitive;
use sam_testkit::TestBridge;
use tracing_subscriber::filter::LevelFilter;

use crate::{
    alone,
    common::{proxy, socks5_request},
    log,
};

#[tokio::test]
async fn hosts_and_clients_are_logged_only_after_show_sensitive() {
    alone();
    let lines = log::keep(LevelFilter::DEBUG);
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    proxy.exchange(&socks5_request("unknown.i2p", 80)).await;
    let before = lines.text();
    assert!(before.contains("client=[scrubbed]") && before.contains("requested=[scrubbed]"), "{before}");
    assert!(!before.contains("unknown.i2p") && !before.contains("127.0.0.1"), "{before}");
    show_sensitive(true);
    proxy.exchange(&socks5_request("unknown.i2p", 80)).await;
    let after = lines.text();
    show_sensitive(false);
    assert!(after.contains("client=127.0.0.1") && after.contains("requested=unknown.i2p"), "{after}");
}
