//! Which clients share a session, how many sessions there are, and when they end.

use std::{num::NonZeroUsize, time::Duration};

use i2p_sam::Identity;
use i2p_tunnel::{Isolate, Limits, PoolOptions, SessionPolicy};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::{Proxy, proxy_of};

const PATIENCE: Duration = Duration::from_secs(10);

/// Sessions for the credentials of clients, and only as many as they need.
fn options(max: usize) -> PoolOptions {
    PoolOptions { max_sessions: NonZeroUsize::new(max).unwrap(), ..PoolOptions::default() }
}

async fn start(bridge: &TestBridge, options: PoolOptions) -> Proxy {
    bridge.host("whoami.i2p", Endpoint::Whoami);
    proxy_of(bridge, limits(), options, SessionPolicy::default()).await
}

/// A client that has finished is let go soon.
fn limits() -> Limits {
    Limits { half_close: Duration::from_millis(50), ..Limits::default() }
}

/// CONNECT with a username; gives the stream and the reply's code.
async fn connect_as(proxy: &Proxy, user: &str, host: &str) -> (TcpStream, u8) {
    let mut client = proxy.connect().await;
    let mut request = vec![5, 1, 2, 1, u8::try_from(user.len()).unwrap()];
    request.extend(user.as_bytes());
    request.push(0);
    request.extend([&[5, 1, 0, 3, u8::try_from(host.len()).unwrap()], host.as_bytes(), &[0, 80]].concat());
    client.write_all(&request).await.unwrap();
    let mut answer = [0; 14];
    client.read_exact(&mut answer[..4]).await.unwrap();
    assert_eq!(answer[..4], [5, 2, 1, 0], "credentials are taken");
    client.read_exact(&mut answer[4..]).await.unwrap();
    (client, answer[5])
}

/// The destination that a far end sees this user come from.
async fn seen_as(proxy: &Proxy, user: &str) -> String {
    let (mut client, code) = connect_as(proxy, user, "whoami.i2p").await;
    assert_eq!(code, 0, "{user}");
    let mut destination = String::new();
    client.read_to_string(&mut destination).await.unwrap();
    assert!(destination.len() > 500, "{destination}");
    destination
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn two_users_are_two_destinations_and_one_user_is_one() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(8)).await;
    assert_eq!(bridge.open_sessions(), 1, "the one that was built ahead");
    let alice = seen_as(&proxy, "alice").await;
    assert_eq!(seen_as(&proxy, "alice").await, alice);
    assert_eq!(bridge.open_sessions(), 1, "alice has it");
    let bob = seen_as(&proxy, "bob").await;
    assert_ne!(alice, bob);
    // SOCKS4 user ids are credentials of another kind.
    let mut client = proxy.connect().await;
    client.write_all(b"\x04\x01\x00\x50\x00\x00\x00\x01alice\x00whoami.i2p\x00").await.unwrap();
    let mut answer = vec![0; 8];
    client.read_exact(&mut answer).await.unwrap();
    let mut other = String::new();
    client.read_to_string(&mut other).await.unwrap();
    assert!(other != alice && other != bob);
    // Tor's form: the password alone counts, and formats that nobody here knows are refused.
    assert_eq!(seen_as(&proxy, "<torS0X>0").await, seen_as(&proxy, "<torS0X>0").await);
    let unknown = [&[5, 1, 2, 1, 9][..], b"<torS0X>1", &[0]].concat();
    assert_eq!(proxy.exchange(&unknown).await, [5, 2, 1, 1]);
    assert_eq!(bridge.open_sessions(), 4);
}

#[tokio::test]
async fn one_key_more_than_the_cap_is_refused_and_shares_with_nobody() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(2)).await;
    let (alice, code) = connect_as(&proxy, "alice", "echo.i2p").await;
    assert_eq!(code, 0);
    let (bob, code) = connect_as(&proxy, "bob", "echo.i2p").await;
    assert_eq!(code, 0);
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 1, "both are in use");
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 0, "who has one goes on");
    assert_eq!(bridge.open_sessions(), 2);
    // The one that has been unused for longest makes room; bob's has not been used since before alice's.
    drop(bob);
    until("bob's stream ends", || proxy.pool.sessions().iter().any(|session| session.leases == 0)).await;
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 0);
    until("bob's session is gone", || bridge.open_sessions() == 2).await;
    assert!(proxy.pool.sessions().iter().all(|session| session.leases > 0));
    drop(alice);
}

#[tokio::test]
async fn the_longest_unused_makes_room() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(2)).await;
    let alice = seen_as(&proxy, "alice").await;
    let bob = seen_as(&proxy, "bob").await;
    assert_eq!(seen_as(&proxy, "alice").await, alice);
    until("all are unused", || proxy.pool.sessions().iter().all(|session| session.leases == 0)).await;
    seen_as(&proxy, "carol").await;
    assert_eq!(seen_as(&proxy, "alice").await, alice, "she came after bob");
    assert_ne!(seen_as(&proxy, "bob").await, bob, "his had to go");
}

#[tokio::test]
async fn an_unused_session_is_closed_and_comes_back_as_somebody_else() {
    let bridge = TestBridge::start().await;
    let idle_close = Some(Duration::from_millis(100));
    let proxy = start(&bridge, PoolOptions { idle_close, ..options(8) }).await;
    let before = seen_as(&proxy, "alice").await;
    until("the session is closed", || bridge.open_sessions() == 0).await;
    assert!(proxy.pool.sessions().is_empty());
    assert_ne!(seen_as(&proxy, "alice").await, before);
    // A stream keeps its session, however long it says nothing.
    let (mut open, _) = connect_as(&proxy, "alice", "echo.i2p").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bridge.open_sessions(), 1);
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x');
    drop(open);
    until("the session is closed", || bridge.open_sessions() == 0).await;
}

#[tokio::test]
async fn the_same_keys_come_back_where_they_are_wanted() {
    let bridge = TestBridge::start().await;
    let idle_close = Some(Duration::from_millis(50));
    let proxy = start(&bridge, PoolOptions { idle_close, identity: Identity::Same, ..options(8) }).await;
    let alice = seen_as(&proxy, "alice").await;
    let bob = seen_as(&proxy, "bob").await;
    until("the sessions are closed", || bridge.open_sessions() == 0).await;
    assert_eq!(seen_as(&proxy, "bob").await, bob);
    assert_eq!(seen_as(&proxy, "alice").await, alice);
}

#[tokio::test]
async fn a_new_identity_on_demand() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(8)).await;
    let before = seen_as(&proxy, "alice").await;
    let (mut open, _) = connect_as(&proxy, "alice", "echo.i2p").await;
    proxy.pool.renew_all();
    assert_ne!(seen_as(&proxy, "alice").await, before);
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x', "open streams stay");
    assert_eq!(proxy.pool.sessions().len(), 2, "the old one is there for as long as it is used");
    assert_eq!(bridge.open_sessions(), 2);
    drop(open);
    until("the old one goes with its last stream", || bridge.open_sessions() == 1).await;
}

/// New identities are for those who ask now: that old streams are still there is no reason to refuse them.
#[tokio::test]
async fn a_new_identity_is_there_while_old_streams_hold_all_sessions() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(2)).await;
    let mut open = vec![connect_as(&proxy, "alice", "echo.i2p").await];
    open.push(connect_as(&proxy, "bob", "echo.i2p").await);
    proxy.pool.renew_all();
    open.push(connect_as(&proxy, "alice", "echo.i2p").await);
    open.push(connect_as(&proxy, "bob", "echo.i2p").await);
    assert!(open.iter().all(|(_, code)| *code == 0));
    assert_eq!(bridge.open_sessions(), 4);
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 1, "the cap holds for those who are new");
    // And not without end: tunnels cost the network something.
    proxy.pool.renew_all();
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 1);
    open.truncate(3);
    until("a session has ended", || bridge.open_sessions() == 3).await;
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 0);
}

#[tokio::test]
async fn sessions_built_ahead_are_taken_and_replaced() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, PoolOptions { warm_spares: 2, ..options(4) }).await;
    until("two are there", || bridge.open_sessions() == 2).await;
    let before = bridge.open_sessions();
    // A new client must not wait: building takes for ever now.
    bridge.on("SESSION CREATE", [Act::Hang]);
    seen_as(&proxy, "alice").await;
    seen_as(&proxy, "bob").await;
    assert_eq!(before, 2);
    assert_eq!(proxy.pool.sessions().len(), 4, "two in use, two being built");
    assert_eq!(proxy.pool.sessions().iter().filter(|session| session.spare).count(), 2);
}

#[tokio::test]
async fn the_first_session_may_wait_for_the_first_client() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, PoolOptions { delay_open: true, ..options(8) }).await;
    assert!(proxy.pool.sessions().is_empty());
    assert_eq!(bridge.commands(), Vec::<String>::new());
    seen_as(&proxy, "alice").await;
    assert_eq!(bridge.open_sessions(), 1);
}

#[tokio::test]
async fn each_circumstance_that_is_asked_for_keeps_requests_apart() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    bridge.host("other.i2p", Endpoint::Whoami);
    let ask = async |proxy: &Proxy, host: &str, port: u16| {
        let (mut client, code) = proxy.socks5(host, port).await;
        assert_eq!(code, 0);
        let mut destination = String::new();
        client.read_to_string(&mut destination).await.unwrap();
        destination
    };
    for (isolate, by_host, by_port) in [
        (Isolate::NONE, false, false),
        (Isolate { dest_host: true, ..Isolate::NONE }, true, false),
        (Isolate { dest_port: true, ..Isolate::NONE }, false, true),
    ] {
        let rules = SessionPolicy { isolate, ..SessionPolicy::default() };
        let proxy = proxy_of(&bridge, limits(), options(8), rules).await;
        let first = ask(&proxy, "whoami.i2p", 80).await;
        assert_eq!(ask(&proxy, "other.i2p", 80).await != first, by_host);
        assert_eq!(ask(&proxy, "whoami.i2p", 81).await != first, by_port);
    }
}

#[tokio::test]
async fn a_session_that_the_router_has_forgotten_is_replaced_once() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(8)).await;
    bridge.once("STREAM CONNECT", Act::refuse("STREAM STATUS RESULT=INVALID_ID"));
    seen_as(&proxy, "alice").await;
    let created = |bridge: &TestBridge| {
        bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count()
    };
    assert_eq!(created(&bridge), 2);
    bridge.on("STREAM CONNECT", Act::refuse("STREAM STATUS RESULT=INVALID_ID"));
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 1);
    assert_eq!(created(&bridge), 3, "it is not asked for ever");
    // Requests that hear it of one session replace it once for all of them.
    bridge.on("STREAM CONNECT", Act::late(Duration::ZERO));
    for _ in 0..3 {
        let refused =
            [Act::Wait(Duration::from_millis(100)), Act::line("STREAM STATUS RESULT=INVALID_ID"), Act::Close];
        bridge.once("STREAM CONNECT", refused);
    }
    let request = || connect_as(&proxy, "alice", "echo.i2p");
    let ((_a, first), (_b, second), (_c, third)) = tokio::join!(request(), request(), request());
    assert_eq!([first, second, third], [0; 3]);
    assert_eq!(created(&bridge), 4);
}
