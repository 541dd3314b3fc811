//! Sessions: which clients share one, how many there are, and when they end.

use std::{num::NonZeroUsize, time::Duration};

use i2p_sam::{BackOff, Identity, SessionOptions, SessionState};
use i2p_tunnel::{Isolate, Limits, PoolOptions, SessionPolicy, SessionStatus};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::{Proxy, proxy_of};

const PATIENCE: Duration = Duration::from_secs(10);

/// A pool with this cap.
fn options(max: usize) -> PoolOptions {
    PoolOptions { max_sessions: NonZeroUsize::new(max).unwrap(), ..PoolOptions::default() }
}

async fn start(bridge: &TestBridge, options: PoolOptions) -> Proxy {
    bridge.host("whoami.i2p", Endpoint::Whoami);
    proxy_of(bridge, limits(), options, SessionPolicy::default()).await
}

/// Limits with which a finished client is disconnected soon.
fn limits() -> Limits {
    Limits { half_close: Duration::from_millis(50), ..Limits::default() }
}

/// Sends CONNECT with a user name. Returns the stream and the reply code.
async fn connect_as(proxy: &Proxy, user: &str, host: &str) -> (TcpStream, u8) {
    let mut client = proxy.connect().await;
    let mut request = vec![5, 1, 2, 1, u8::try_from(user.len()).unwrap()];
    request.extend(user.as_bytes());
    request.push(0);
    request.extend([&[5, 1, 0, 3, u8::try_from(host.len()).unwrap()], host.as_bytes(), &[0, 80]].concat());
    client.write_all(&request).await.unwrap();
    let mut answer = [0; 14];
    client.read_exact(&mut answer[..4]).await.unwrap();
    assert_eq!(answer[..4], [5, 2, 1, 0], "credentials are accepted");
    client.read_exact(&mut answer[4..]).await.unwrap();
    (client, answer[5])
}

/// The destination that the far end sees for this user.
async fn destination_of(proxy: &Proxy, user: &str) -> String {
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
async fn each_user_has_one_destination() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(8)).await;
    assert_eq!(bridge.open_sessions(), 1, "the one built ahead");
    let alice = destination_of(&proxy, "alice").await;
    assert_eq!(destination_of(&proxy, "alice").await, alice);
    assert_eq!(bridge.open_sessions(), 1, "alice uses it");
    let bob = destination_of(&proxy, "bob").await;
    assert_ne!(alice, bob);
    // A SOCKS4 user id is not a SOCKS5 user name.
    let mut client = proxy.connect().await;
    client.write_all(b"\x04\x01\x00\x50\x00\x00\x00\x01alice\x00whoami.i2p\x00").await.unwrap();
    let mut answer = vec![0; 8];
    client.read_exact(&mut answer).await.unwrap();
    let mut other = String::new();
    client.read_to_string(&mut other).await.unwrap();
    assert!(other != alice && other != bob);
    // Tor's form: only the password counts, and unsupported formats are refused.
    assert_eq!(destination_of(&proxy, "<torS0X>0").await, destination_of(&proxy, "<torS0X>0").await);
    let unknown = [&[5, 1, 2, 1, 9][..], b"<torS0X>1", &[0]].concat();
    assert_eq!(proxy.exchange(&unknown).await, [5, 2, 1, 1]);
    assert_eq!(bridge.open_sessions(), 4);
}

#[tokio::test]
async fn a_key_over_the_cap_is_refused_rather_than_made_to_share() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(2)).await;
    let (alice, code) = connect_as(&proxy, "alice", "echo.i2p").await;
    assert_eq!(code, 0);
    let (bob, code) = connect_as(&proxy, "bob", "echo.i2p").await;
    assert_eq!(code, 0);
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 1, "both are in use");
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 0, "a key with a session is served");
    assert_eq!(bridge.open_sessions(), 2);
    // The session that has been unused for longest makes room: bob's.
    drop(bob);
    until("bob's stream ends", || proxy.pool.sessions().iter().any(|session| session.leases == 0)).await;
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 0);
    until("bob's session is gone", || bridge.open_sessions() == 2).await;
    assert!(proxy.pool.sessions().iter().all(|session| session.leases > 0));
    drop(alice);
}

#[tokio::test]
async fn the_session_unused_for_longest_makes_room() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(2)).await;
    let alice = destination_of(&proxy, "alice").await;
    let bob = destination_of(&proxy, "bob").await;
    assert_eq!(destination_of(&proxy, "alice").await, alice);
    until("all are unused", || proxy.pool.sessions().iter().all(|session| session.leases == 0)).await;
    destination_of(&proxy, "carol").await;
    assert_eq!(destination_of(&proxy, "alice").await, alice, "she used hers after bob");
    assert_ne!(destination_of(&proxy, "bob").await, bob, "his was closed");
}

#[tokio::test]
async fn an_unused_session_is_closed_and_reopened_with_another_identity() {
    let bridge = TestBridge::start().await;
    let idle_close = Some(Duration::from_millis(100));
    let proxy = start(&bridge, PoolOptions { idle_close, ..options(8) }).await;
    let before = destination_of(&proxy, "alice").await;
    until("the session is closed", || bridge.open_sessions() == 0).await;
    assert!(proxy.pool.sessions().is_empty());
    assert_ne!(destination_of(&proxy, "alice").await, before);
    // An open stream keeps its session open, however long it is silent.
    let (mut open, _) = connect_as(&proxy, "alice", "echo.i2p").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bridge.open_sessions(), 1);
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x');
    drop(open);
    until("the session is closed", || bridge.open_sessions() == 0).await;
}

#[tokio::test]
async fn a_session_is_reopened_with_the_same_identity_if_configured() {
    let bridge = TestBridge::start().await;
    let idle_close = Some(Duration::from_millis(50));
    let proxy = start(&bridge, PoolOptions { idle_close, identity: Identity::Same, ..options(8) }).await;
    let alice = destination_of(&proxy, "alice").await;
    let bob = destination_of(&proxy, "bob").await;
    until("the sessions are closed", || bridge.open_sessions() == 0).await;
    assert_eq!(destination_of(&proxy, "bob").await, bob);
    assert_eq!(destination_of(&proxy, "alice").await, alice);
}

#[tokio::test]
async fn renewing_gives_new_identities_and_keeps_open_streams() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(8)).await;
    let before = destination_of(&proxy, "alice").await;
    let (mut open, _) = connect_as(&proxy, "alice", "echo.i2p").await;
    proxy.pool.renew_all();
    assert_ne!(destination_of(&proxy, "alice").await, before);
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x', "open streams stay");
    assert_eq!(proxy.pool.sessions().len(), 2, "the old session stays while it is used");
    assert_eq!(bridge.open_sessions(), 2);
    drop(open);
    until("the old session ends with its last stream", || bridge.open_sessions() == 1).await;
}

/// A new identity for the next client is no sign of a failure. What replaces a lost session is.
#[tokio::test]
async fn a_spare_that_is_renewed_is_told_from_one_that_replaces_a_lost_session() {
    for renew in [true, false] {
        let bridge = TestBridge::start().await;
        let back_off = BackOff { unasked: Duration::from_millis(10), ..BackOff::default() };
        let proxy = start(&bridge, PoolOptions { back_off, ..options(8) }).await;
        bridge.on("SESSION CREATE", Act::late(Duration::from_secs(60)));
        if renew {
            proxy.pool.renew_all();
        } else {
            bridge.drop_control_connections();
        }
        let is_first_build = || {
            let sessions = proxy.pool.sessions();
            let building = |session: &&SessionStatus| matches!(session.state, SessionState::Building { .. });
            sessions.iter().find(building).map(|session| session.first_build.is_some())
        };
        until("a spare is being built", || is_first_build().is_some()).await;
        assert_eq!(is_first_build(), Some(renew));
    }
}

/// Old streams are no reason to refuse clients after a renewal.
#[tokio::test]
async fn renewing_works_while_old_streams_hold_all_sessions() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(2)).await;
    let mut open = vec![connect_as(&proxy, "alice", "echo.i2p").await];
    open.push(connect_as(&proxy, "bob", "echo.i2p").await);
    proxy.pool.renew_all();
    open.push(connect_as(&proxy, "alice", "echo.i2p").await);
    open.push(connect_as(&proxy, "bob", "echo.i2p").await);
    assert!(open.iter().all(|(_, code)| *code == 0));
    assert_eq!(bridge.open_sessions(), 4);
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 1, "the cap applies to new clients");
    // Only up to twice the cap, since tunnels cost the network something.
    proxy.pool.renew_all();
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 1);
    open.truncate(3);
    until("a session has ended", || bridge.open_sessions() == 3).await;
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 0);
}

/// However often the settings change, old sessions count.
#[tokio::test]
async fn sessions_of_earlier_settings_are_bounded_and_end_with_their_streams() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(4)).await;
    let mut open = Vec::new();
    for round in 0..12_u8 {
        let max = if round % 2 == 0 { 4 } else { 3 };
        let session = SessionOptions::default().quantity(1 + round % 3);
        proxy.pool.reconfigure(PoolOptions { session, ..options(max) });
        for user in ["alice", "bob"] {
            let (stream, code) = connect_as(&proxy, user, "echo.i2p").await;
            open.extend((code == 0).then_some(stream));
        }
        proxy.pool.renew_all();
        assert!(proxy.pool.sessions().len() <= 2 * 4, "round {round}: {}", proxy.pool.sessions().len());
    }
    until("those that were closed are gone", || bridge.open_sessions() <= 2 * 4).await;
    assert!(open.len() >= 4, "{} streams", open.len());
    drop(open);
    until("all have ended but the first of the next", || bridge.open_sessions() <= 1).await;
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 0);
}

#[tokio::test]
async fn sessions_stay_when_only_their_number_changes_and_unused_ones_make_way_for_a_lower_number() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, options(8)).await;
    let alice = destination_of(&proxy, "alice").await;
    destination_of(&proxy, "bob").await;
    let (_open, _) = connect_as(&proxy, "carol", "echo.i2p").await;
    assert_eq!(bridge.open_sessions(), 3);
    proxy.pool.reconfigure(options(12));
    assert_eq!(destination_of(&proxy, "alice").await, alice);
    until("all but carol's are unused", || {
        proxy.pool.sessions().iter().filter(|session| session.leases > 0).count() == 1
    })
    .await;
    proxy.pool.reconfigure(options(1));
    until("unused ones are closed", || bridge.open_sessions() == 1).await;
    assert_eq!(connect_as(&proxy, "carol", "echo.i2p").await.1, 0);
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 1, "there is room for one");
}

#[tokio::test]
async fn a_retired_pool_closes_each_session_with_its_last_stream() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, PoolOptions { warm_spares: 1, ..options(8) }).await;
    destination_of(&proxy, "alice").await;
    let (mut open, _) = connect_as(&proxy, "bob", "echo.i2p").await;
    proxy.pool.retire();
    until("unused ones are closed", || bridge.open_sessions() == 1).await;
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x');
    drop(open);
    until("the last one is closed", || bridge.open_sessions() == 0).await;
    destination_of(&proxy, "carol").await;
    until("no session stays unused", || bridge.open_sessions() == 0).await;
}

#[tokio::test]
async fn spares_are_used_and_replaced() {
    let bridge = TestBridge::start().await;
    let back_off = BackOff { unasked: Duration::from_millis(10), ..BackOff::default() };
    let proxy = start(&bridge, PoolOptions { warm_spares: 2, back_off, ..options(4) }).await;
    until("two are there", || bridge.open_sessions() == 2).await;
    // From now on building never ends, so a client that gets no spare would wait.
    bridge.on("SESSION CREATE", [Act::Hang]);
    destination_of(&proxy, "alice").await;
    destination_of(&proxy, "bob").await;
    until("two in use, two being built", || proxy.pool.sessions().len() == 4).await;
    assert_eq!(proxy.pool.sessions().iter().filter(|session| session.spare).count(), 2);
}

#[tokio::test]
async fn the_first_session_can_be_delayed_until_the_first_client() {
    let bridge = TestBridge::start().await;
    let proxy = start(&bridge, PoolOptions { delay_open: true, ..options(8) }).await;
    assert!(proxy.pool.sessions().is_empty());
    assert_eq!(bridge.commands(), Vec::<String>::new());
    destination_of(&proxy, "alice").await;
    assert_eq!(bridge.open_sessions(), 1);
}

#[tokio::test]
async fn requests_are_isolated_by_each_chosen_property() {
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
    destination_of(&proxy, "alice").await;
    let created = |bridge: &TestBridge| {
        bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count()
    };
    assert_eq!(created(&bridge), 2);
    bridge.on("STREAM CONNECT", Act::refuse("STREAM STATUS RESULT=INVALID_ID"));
    assert_eq!(connect_as(&proxy, "alice", "echo.i2p").await.1, 1);
    assert_eq!(created(&bridge), 3, "it is replaced only once");
    // Concurrent requests on one forgotten session replace it once.
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
