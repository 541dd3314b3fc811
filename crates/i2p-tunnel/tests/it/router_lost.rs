//! The router dies while the proxy runs.

use sam_testkit::{Act, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{self, proxy};

#[tokio::test]
async fn while_the_router_is_dead_clients_get_general_failure_and_the_proxy_survives() {
    let mut bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let (mut open, code) = proxy.socks5("known.i2p", 80).await;
    assert_eq!(code, 0);
    // One request is under way when the router dies.
    bridge.on("STREAM CONNECT", [Act::Hang]);
    let mut waiting = proxy.connect().await;
    waiting.write_all(&common::socks5_request("known.i2p", 80)).await.unwrap();
    while bridge.commands().iter().filter(|line| line.starts_with("STREAM CONNECT")).count() < 2 {
        tokio::task::yield_now().await;
    }

    bridge.kill().await;

    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    answer.clear();
    open.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty(), "the open stream ends");
    for _ in 0..3 {
        assert_eq!(proxy.socks5("known.i2p", 80).await.1, 1);
        assert_eq!(proxy.socks4a("known.i2p", 80).await.1, 91);
    }
    assert!(!proxy.serving.is_finished());
}

#[tokio::test]
async fn a_request_under_way_is_served_by_the_next_session() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    bridge.once("STREAM CONNECT", [Act::Hang]);
    let mut client = proxy.connect().await;
    client.write_all(&common::socks5_request("known.i2p", 80)).await.unwrap();
    while !bridge.commands().iter().any(|line| line.starts_with("STREAM CONNECT")) {
        tokio::task::yield_now().await;
    }
    bridge.drop_control_connections();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn stopping_closes_everything() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let (mut open, _) = proxy.socks5("known.i2p", 80).await;
    let mut silent = proxy.connect().await;
    proxy.stop.cancel();
    proxy.serving.await.unwrap();
    let mut answer = Vec::new();
    // Either an end or a reset: both sides are being closed.
    let _ = open.read_to_end(&mut answer).await;
    let _ = silent.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert!(tokio::net::TcpStream::connect(proxy.address).await.is_err(), "the listener is closed");
}
