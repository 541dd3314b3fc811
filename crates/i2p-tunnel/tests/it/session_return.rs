//! What happens when the router closes all sessions: what comes back at the same moment belongs to one proxy, so sessions are built
//! when a client asks for them, and the others one after the other.

use std::{num::NonZeroUsize, time::Duration};

use i2p_tunnel::{Limits, PoolOptions, SessionPolicy};
use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, pause, sleep, timeout},
};

use crate::common::{
    Proxy, domain, proxy_of,
    udp::{self, Client, UdpOptions},
};

/// Longer than any random pause.
const LONG: Duration = Duration::from_secs(120);

async fn start(bridge: &TestBridge, options: PoolOptions) -> Proxy {
    let max_sessions = NonZeroUsize::new(8).unwrap();
    let limits = Limits { half_close: Duration::from_millis(50), ..Limits::default() };
    let options = PoolOptions { max_sessions, ..options };
    proxy_of(bridge, limits, options, SessionPolicy::default()).await
}

/// Opens a stream for this user, and closes it.
async fn visit(proxy: &Proxy, user: &str) {
    let mut client = proxy.connect().await;
    let greeting = [&[5, 1, 2, 1, u8::try_from(user.len()).unwrap()], user.as_bytes(), &[0]].concat();
    let request = [&[5, 1, 0], &domain("echo.i2p")[..], &[0, 80]].concat();
    client.write_all(&[greeting, request].concat()).await.unwrap();
    let mut answer = [0; 14];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[5], 0, "{user}");
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(LONG, async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The times of the SESSION CREATEs after the first `before`.
fn created(bridge: &TestBridge, before: usize) -> Vec<Instant> {
    bridge.times("SESSION CREATE").split_off(before)
}

#[tokio::test]
async fn sessions_that_no_client_asks_for_stay_away() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, PoolOptions::default()).await;
    let users = ["a", "b", "c", "d", "e", "f"];
    for user in users {
        visit(&proxy, user).await;
    }
    until("all are unused", || proxy.pool.sessions().iter().all(|session| session.leases == 0)).await;
    assert_eq!(bridge.open_sessions(), users.len());
    let before = bridge.times("SESSION CREATE").len();
    bridge.drop_control_connections();
    until("the sessions are gone", || bridge.open_sessions() == 0).await;
    let lost = Instant::now();
    pause();
    sleep(LONG).await;
    let since = created(&bridge, before);
    assert_eq!(since.len(), 1, "one for the next client");
    assert!(since[0] - lost < Duration::from_secs(21), "{:?}", since[0] - lost);
    tokio::time::resume();
    // The next client takes it, and the others get their sessions when they ask.
    for (count, user) in (1..).zip(users) {
        visit(&proxy, user).await;
        assert_eq!(created(&bridge, before).len(), count);
    }
}

#[tokio::test]
async fn a_client_that_waits_is_served_at_once() {
    let mut bridge = TestBridge::start().await;
    let proxy = start(&bridge, PoolOptions::default()).await;
    for user in ["a", "b"] {
        visit(&proxy, user).await;
    }
    bridge.kill().await;
    let before = bridge.times("SESSION CREATE").len();
    bridge.restart().await;
    let asked = Instant::now();
    visit(&proxy, "b").await;
    let since = created(&bridge, before);
    assert_eq!(since.len(), 1);
    assert!(since[0] - asked < Duration::from_secs(2), "{:?}", since[0] - asked);
}

#[tokio::test]
async fn spares_come_back_one_after_the_other() {
    let bridge = TestBridge::start().await;
    pause();
    let proxy = start(&bridge, PoolOptions { warm_spares: 5, ..PoolOptions::default() }).await;
    until("they are built", || bridge.open_sessions() == 5).await;
    let apart = |times: &[Instant]| {
        assert_eq!(times.len(), 5);
        // Five pauses of up to 20 s. All together are shorter than this once in 30,000 runs.
        assert!(times[4] - times[0] > Duration::from_secs(4), "{:?}", times[4] - times[0]);
    };
    apart(&created(&bridge, 0));
    bridge.drop_control_connections();
    until("they are gone", || bridge.open_sessions() == 0).await;
    until("they are back", || bridge.open_sessions() == 5).await;
    apart(&created(&bridge, 5));
    drop(proxy);
}

/// An association waits for its peers' datagrams, so it comes back without being asked for, but not together with others.
#[tokio::test]
async fn associations_come_back_when_their_clients_send_and_otherwise_one_after_the_other() {
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let proxy = udp::proxy_with(
        &bridge.address(),
        &bridge.udp_address(),
        UdpOptions { max_sessions: 8, ..UdpOptions::default() },
    )
    .await;
    let mut clients = Vec::new();
    for user in [&b"a"[..], b"b", b"c", b"d", b"e"] {
        let client = Client::associate(&proxy, user, &crate::common::binary([0; 4].into()), 0).await.unwrap();
        client.echo(b"x").await;
        clients.push(client);
    }
    let before = bridge.times("SESSION CREATE").len();
    bridge.drop_control_connections();
    until("the sessions are gone", || bridge.open_sessions() == 0).await;
    // The client that sends is served at once: until it is, its datagrams are dropped.
    let asked = Instant::now();
    let sender = &clients[0];
    until_echoed(sender).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    pause();
    until("all are back", || bridge.open_sessions() >= 5).await;
    let since = created(&bridge, before);
    let spread = since[since.len() - 1] - since[0];
    // Four pauses of up to 20 s, of which the longest counts: shorter than this once in 10,000 runs.
    assert!(spread > Duration::from_secs(2), "{spread:?}");
}

/// Sends datagrams until one is echoed.
async fn until_echoed(client: &Client) {
    let target = domain("echo.i2p");
    for _ in 0..100 {
        client.send(0, &target, 7, b"again").await;
        let mut buffer = [0; 1024];
        if timeout(Duration::from_millis(50), client.socket.recv_from(&mut buffer)).await.is_ok() {
            return;
        }
    }
    panic!("no datagram was echoed");
}
