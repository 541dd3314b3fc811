//! Base64 destinations are too long for SOCKS5. SOCKS4a and HTTP CONNECT accept them.

use sam_testkit::{Endpoint, TestBridge};

use crate::common::{proxy, socks4a_request};

#[tokio::test]
async fn a_destination_is_reached_by_socks4a() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("echo.i2p", Endpoint::Echo);
    assert!(destination.len() > 255, "too long for SOCKS5");
    let proxy = proxy(&bridge).await;
    assert_eq!(proxy.echo(&socks4a_request(&destination, 80)).await, 90);
}

#[tokio::test]
async fn hosts_longer_than_any_destination_are_refused_and_never_reach_the_router() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let before = bridge.commands().len();
    for length in [256, 3868, 3869, 5000] {
        let answer = proxy.exchange(&socks4a_request(&"A".repeat(length), 80)).await;
        assert_eq!(answer, [0, 91, 0, 0, 0, 0, 0, 0], "{length}");
    }
    assert_eq!(bridge.commands().len(), before);
}
