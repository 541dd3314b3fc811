//! How many lines the proxy sends to a router that refuses, resets and closes, while clients ask all the time.

use std::time::Duration;

use i2p_sam::SessionOptions;
use i2p_tunnel::{Limits, PoolOptions, SessionPolicy};
use sam_testkit::{Act, Dialect, TestBridge};
use tokio::{io::AsyncWriteExt, task::JoinSet, time::timeout};

use crate::common::{Proxy, domain, proxy_of, socks5_command};

const ALL_ROUTERS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];
/// How long clients ask.
const WATCHED: Duration = Duration::from_secs(3);
/// Clients that ask at once.
const CLIENTS: usize = 4;

async fn proxy(bridge: &TestBridge) -> Proxy {
    let session = SessionOptions::default().publish(true);
    let options = PoolOptions { session, ..PoolOptions::default() };
    let policy = SessionPolicy { incoming: true, ..SessionPolicy::default() };
    proxy_of(bridge, Limits::default(), options, policy).await
}

/// Has clients send this request without a pause, each after the reply to the one before. Returns how many requests were made.
async fn ask(proxy: &Proxy, request: Vec<u8>) -> usize {
    let mut clients = JoinSet::new();
    let requests = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for _ in 0..CLIENTS {
        let (address, request, requests) = (proxy.address, request.clone(), requests.clone());
        clients.spawn(async move {
            loop {
                let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
                client.write_all(&request).await.unwrap();
                requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let mut answer = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut answer).await;
            }
        });
    }
    let _ = timeout(WATCHED, clients.join_next()).await;
    requests.load(std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test]
async fn clients_that_wait_for_peers_while_the_router_resets_every_accept() {
    for dialect in ALL_ROUTERS {
        for acts in [
            vec![Act::line("STREAM STATUS RESULT=OK"), Act::Close],
            Act::refuse("STREAM STATUS RESULT=I2P_ERROR").to_vec(),
        ] {
            let bridge = TestBridge::start_as(dialect).await;
            let proxy = proxy(&bridge).await;
            bridge.on("STREAM ACCEPT", acts);
            ask(&proxy, socks5_command(2, &[1, 0, 0, 0, 0], 7)).await;
            let accepts = bridge.times("STREAM ACCEPT").len();
            assert!((2..=40).contains(&accepts), "{dialect:?}: {accepts} accepts in {WATCHED:?}");
        }
    }
}

#[tokio::test]
async fn clients_that_connect_while_the_router_closes_every_session() {
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge).await;
        bridge.on("SESSION CREATE", [Act::Behave, Act::Close]);
        bridge.on("STREAM CONNECT", [Act::Hang]);
        bridge.drop_control_connections();
        ask(&proxy, socks5_command(1, &domain("known.i2p"), 80)).await;
        let sessions = bridge.times("SESSION CREATE").len();
        assert!((2..=40).contains(&sessions), "{dialect:?}: {sessions} sessions in {WATCHED:?}");
    }
}

#[tokio::test]
async fn clients_that_look_up_a_name_while_lookups_fail() {
    for dialect in ALL_ROUTERS {
        for acts in [vec![Act::line("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={NAME}")], vec![Act::Close]] {
            let bridge = TestBridge::start_as(dialect).await;
            let proxy = proxy(&bridge).await;
            bridge.on("NAMING LOOKUP NAME=lost.i2p", acts);
            let requests = ask(&proxy, socks5_command(1, &domain("lost.i2p"), 80)).await;
            let lookups = bridge.times("NAMING LOOKUP NAME=lost.i2p").len();
            // emissary closes the session with the lookup, and the request is made again on the next session.
            assert!(lookups <= 2 * requests, "{dialect:?}: {lookups} lookups for {requests} requests");
        }
    }
}
