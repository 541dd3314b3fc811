//! One client that takes as much as it can leaves enough to the others, of each kind of thing.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use i2p_name::{B32, VirtualOptions};
use i2p_sam::{BackOff, Bridge, SessionOptions};
use i2p_tunnel::{
    AddressPool, Admission, Caps, Limits, Metrics, PoolOptions, SamDialler, Service, SessionLimits,
    SessionPolicy, SessionPool, metrics::Snapshot,
};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::{sleep, timeout},
};

use crate::common::{
    Proxy, binary, domain, proxy_with_addresses, proxy_with_service, socks5_request, start_service,
    udp::{self, UdpOptions},
};

/// Generous: tests wait this long only if something is broken.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The last number of the addresses of the clients: one that takes all, and three others.
const EVE: u8 = 66;
const ANNA: u8 = 11;
const BERT: u8 = 12;
const CARL: u8 = 13;
const UDP_ASSOCIATE: u8 = 3;

/// Connects from an address of its own, 127.0.0.`host`.
async fn connect_from(proxy: &Proxy, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    socket.connect(proxy.address).await.unwrap()
}

/// A greeting, credentials and a request with any command in one write. `address` begins with ATYP.
fn request(user: &str, command: u8, address: &[u8]) -> Vec<u8> {
    let credentials = [&[1, u8::try_from(user.len()).unwrap()], user.as_bytes(), &[0]].concat();
    // A client with datagrams says which port it sends from, or 0.
    let port = if command == UDP_ASSOCIATE { 0 } else { 80 };
    [&[5, 1, 2][..], &credentials, &[5, command, 0], address, &[0, port]].concat()
}

/// Sends a request. Returns the connection and the code of the reply.
async fn ask(proxy: &Proxy, host: u8, user: &str, command: u8, address: &[u8]) -> (TcpStream, u8) {
    let mut client = connect_from(proxy, host).await;
    client.write_all(&request(user, command, address)).await.unwrap();
    let mut answer = [0; 6];
    timeout(TIMEOUT, client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer[..5], [5, 2, 1, 0, 5]);
    (client, answer[5])
}

/// The destination that the far end sees for this user.
async fn destination_of(proxy: &Proxy, host: u8, user: &str) -> String {
    let (mut client, code) = ask(proxy, host, user, 1, &domain("whoami.i2p")).await;
    assert_eq!(code, 0, "{user}");
    let mut destination = String::new();
    client.read_to_string(&mut destination).await.unwrap();
    destination
}

/// A proxy with a number of sessions, and its metrics.
struct Shared {
    proxy: Proxy,
    metrics: Metrics,
}

impl Shared {
    async fn start(bridge: &TestBridge, sessions: usize, half_close: Duration) -> Self {
        for (host, endpoint) in [("whoami.i2p", Endpoint::Whoami), ("sink.i2p", Endpoint::Sink)] {
            bridge.host(host, endpoint);
        }
        let max_sessions = NonZeroUsize::new(sessions).unwrap();
        let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
        let options = PoolOptions { max_sessions, back_off, ..PoolOptions::default() };
        let pool = SessionPool::new(Bridge::new(bridge.address()), options);
        pool.first_ready().await.unwrap();
        let waits = SessionLimits { router: Duration::from_millis(300), ..SessionLimits::default() };
        let dialler = SamDialler::new(pool.clone()).with_limits(waits);
        let (addresses, metrics) = (AddressPool::new(VirtualOptions::default()).unwrap(), Metrics::new());
        let service = Service::new("test", dialler, addresses)
            .with_limits(Limits { half_close, ..Limits::default() })
            .with_account(metrics.account("main"));
        Self { proxy: start_service(service, pool).await, metrics }
    }

    /// A proxy with 8 sessions, which disconnects finished clients soon.
    async fn with_8_sessions(bridge: &TestBridge) -> Self {
        Self::start(bridge, 8, Duration::from_millis(50)).await
    }

    /// Opens a stream as a user, which is expected to succeed.
    async fn open(&self, host: u8, user: &str, site: &str) -> TcpStream {
        let (mut stream, code) = ask(&self.proxy, host, user, 1, &domain(site)).await;
        assert_eq!(code, 0, "{user}");
        // The rest of the reply.
        stream.read_exact(&mut [0; 8]).await.unwrap();
        stream
    }

    /// Asks for a stream that is refused for this reason, and for the first time.
    async fn is_refused(&self, host: u8, user: &str, reason: &str) {
        assert_eq!(ask(&self.proxy, host, user, 1, &domain("echo.i2p")).await.1, 1, "{user}");
        self.refused(reason, 1);
    }

    fn refused(&self, reason: &str, count: usize) {
        let text = self.metrics.encode(&Snapshot::default());
        let line = format!("protocol=\"socks5\",outcome=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

/// Whether a stream to an echo is there and back.
async fn is_echoed(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").await.unwrap();
    timeout(TIMEOUT, stream.read_u8()).await.unwrap().is_ok_and(|byte| byte == b'x')
}

/// Whether a stream to a silent far end was cut.
async fn is_cut(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_secs(1), stream.read(&mut [0])).await.is_ok_and(|read| read.unwrap_or(0) == 0)
}

fn created(bridge: &TestBridge) -> usize {
    bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    timeout(TIMEOUT, async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_client_with_many_credentials_leaves_sessions_to_others() {
    let bridge = TestBridge::start().await;
    let shared = Shared::with_8_sessions(&bridge).await;
    let mut held = Vec::new();
    for number in 0..6 {
        held.push(shared.open(EVE, &format!("e{number}"), "echo.i2p").await);
    }
    shared.is_refused(EVE, "e6", "session_share").await;
    held.push(shared.open(ANNA, "a", "echo.i2p").await);
    held.push(shared.open(BERT, "b", "echo.i2p").await);
    shared.is_refused(CARL, "c", "too_many_sessions").await;
    // What is in use stays in use.
    for stream in &mut held {
        assert!(is_echoed(stream).await);
    }
    assert_eq!(bridge.open_sessions(), 8);
    // A client that has a session is served.
    shared.open(EVE, "e0", "echo.i2p").await;
    drop(held.remove(0));
    until("it is unused", || shared.proxy.pool.sessions().iter().any(|session| session.leases == 0)).await;
    shared.open(CARL, "c", "echo.i2p").await;
}

/// Whether a client still waits for the rest of a half-closed stream, nobody knows. So such streams end before anybody is refused,
/// and only for a client that gets the session.
#[tokio::test]
async fn half_closed_streams_end_for_a_client_that_gets_their_session() {
    let bridge = TestBridge::start().await;
    let shared = Shared::start(&bridge, 2, TIMEOUT * 10).await;
    let mut annas = shared.open(ANNA, "a", "sink.i2p").await;
    let mut berts = shared.open(BERT, "b", "echo.i2p").await;
    annas.shutdown().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    // Bert has as many as she.
    shared.open(BERT, "b2", "echo.i2p").await;
    assert!(is_cut(&mut annas).await && is_echoed(&mut berts).await);
}

#[tokio::test]
async fn a_client_with_its_share_ends_only_half_closed_streams_of_its_own() {
    let bridge = TestBridge::start().await;
    let shared = Shared::start(&bridge, 8, TIMEOUT * 10).await;
    let mut annas = shared.open(ANNA, "a", "sink.i2p").await;
    annas.shutdown().await.unwrap();
    let mut held = Vec::new();
    for number in 0..6 {
        held.push(shared.open(EVE, &format!("e{number}"), "sink.i2p").await);
    }
    shared.is_refused(EVE, "e6", "session_share").await;
    assert!(!is_cut(&mut annas).await);
    held[3].shutdown().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    shared.open(EVE, "another", "sink.i2p").await;
    assert!(is_cut(&mut held[3]).await && !is_cut(&mut held[0]).await && !is_cut(&mut annas).await);
}

#[tokio::test]
async fn a_client_that_invents_credentials_builds_few_sessions_and_closes_none_of_others() {
    let bridge = TestBridge::start().await;
    let shared = Shared::with_8_sessions(&bridge).await;
    let proxy = &shared.proxy;
    let anna = destination_of(proxy, ANNA, "a").await;
    let before = created(&bridge);
    for number in 0..300 {
        let mut client = connect_from(proxy, EVE).await;
        let asked = request(&format!("e{number}"), 1, &domain("echo.i2p"));
        client.write_all(&asked).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        // Reset, so that the proxy gives the request up.
        client.set_zero_linger().unwrap();
    }
    let sessions = created(&bridge) - before;
    assert!((6..=20).contains(&sessions), "{sessions} sessions");
    assert_eq!(destination_of(proxy, ANNA, "a").await, anna, "its unused session was kept");
    destination_of(proxy, ANNA, "another").await;
    destination_of(proxy, BERT, "b").await;
}

/// What the README recommends: credentials for each site.
#[tokio::test]
async fn a_client_alone_visits_a_dozen_sites_with_credentials_for_each() {
    let bridge = TestBridge::start().await;
    let shared = Shared::with_8_sessions(&bridge).await;
    let proxy = &shared.proxy;
    for number in 0..12 {
        destination_of(proxy, ANNA, &format!("site{number}")).await;
        until("the stream ends", || proxy.pool.sessions().iter().all(|session| session.leases == 0)).await;
    }
    assert!(bridge.open_sessions() <= 8);
}

/// Sessions that the router never built cost nothing, so they use up nothing.
#[tokio::test]
async fn while_the_router_is_away_a_client_uses_up_no_share_and_is_told_why() {
    let mut bridge = TestBridge::start().await;
    let shared = Shared::with_8_sessions(&bridge).await;
    bridge.kill().await;
    for round in 0..8 {
        let users = [0, 1, 2, 3, 4].map(|user| format!("{round}-{user}"));
        let (address, proxy) = (domain("echo.i2p"), &shared.proxy);
        let codes = tokio::join!(
            ask(proxy, ANNA, &users[0], 1, &address),
            ask(proxy, ANNA, &users[1], 1, &address),
            ask(proxy, ANNA, &users[2], 1, &address),
            ask(proxy, ANNA, &users[3], 1, &address),
            ask(proxy, ANNA, &users[4], 1, &address),
        );
        assert_eq!([codes.0.1, codes.1.1, codes.2.1, codes.3.1, codes.4.1], [1; 5]);
    }
    shared.refused("session_share", 0);
    shared.refused("router_unavailable", 40);
    bridge.restart().await;
    shared.open(ANNA, "back", "echo.i2p").await;
}

#[tokio::test]
async fn a_client_that_opens_many_connections_leaves_some_to_others() {
    let bridge = TestBridge::start().await;
    let admission = Admission::new(Caps { connections: 16, ..Caps::default() });
    let proxy = proxy_with_service(&bridge, |service| service.with_admission(admission.clone())).await;
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(connect_from(&proxy, EVE).await);
    }
    until("they are accepted", || admission.connections() == 12).await;
    for host in [ANNA, BERT] {
        let mut client = connect_from(&proxy, host).await;
        client.write_all(&socks5_request("known.i2p", 80)).await.unwrap();
        let mut answer = [0; 12];
        timeout(TIMEOUT, client.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer[3], 0);
    }
}

#[tokio::test]
async fn a_client_that_waits_for_many_peers_leaves_room_to_others() {
    let bridge = TestBridge::start().await;
    let admission = Admission::new(Caps { connections: 64, ..Caps::default() });
    let session = SessionOptions::default().publish(true);
    let pool =
        SessionPool::new(Bridge::new(bridge.address()), PoolOptions { session, ..PoolOptions::default() });
    let sessions = SessionPolicy { incoming: true, ..SessionPolicy::default() };
    let proxy = proxy_with_service(&bridge, |service| {
        let dialler = SamDialler::new(pool.clone());
        Service { dialler, ..service }.with_sessions(sessions).with_admission(admission.clone())
    })
    .await;
    let any_peer = binary([0, 0, 0, 0].into());
    let mut held = Vec::new();
    for _ in 0..20 {
        let (stream, code) = ask(&proxy, EVE, "e", 2, &any_peer).await;
        held.extend((code == 0).then_some(stream));
    }
    assert_eq!(held.len(), 12, "three quarters of the 16 that can wait");
    for host in [ANNA, BERT] {
        assert_eq!(ask(&proxy, host, "a", 2, &any_peer).await.1, 0);
    }
    // It is only about waiting.
    assert_eq!(ask(&proxy, EVE, "e", 1, &domain("echo.i2p")).await.1, 0);
}

#[tokio::test]
async fn a_client_that_looks_up_many_names_leaves_virtual_addresses_to_others() {
    const RESOLVE: u8 = 0xf0;
    let bridge = TestBridge::start().await;
    let max = NonZeroUsize::new(64).unwrap();
    let proxy = proxy_with_addresses(&bridge, VirtualOptions { max, ..VirtualOptions::default() }).await;
    let resolve = async |host: u8, user: &str, name: &str| {
        let (mut stream, code) = ask(&proxy, host, user, RESOLVE, &domain(name)).await;
        let mut rest = [0; 8];
        stream.read_exact(&mut rest).await.unwrap();
        (code == 0).then(|| rest[1..6].to_vec())
    };
    let early = resolve(ANNA, "a", "echo.i2p").await.unwrap();
    let mut given = 0;
    for number in 0..200_u8 {
        let name = B32::from_hash([number; 32]).to_string();
        given += usize::from(resolve(EVE, &format!("e{}", number % 5), &name).await.is_some());
    }
    assert!(given >= 56, "a client alone gets nearly all: {given}");
    let late = resolve(ANNA, "a", "known.i2p").await.unwrap();
    assert!(resolve(BERT, "b", "known.i2p").await.is_some());
    for address in [early, late] {
        assert_eq!(ask(&proxy, ANNA, "a", 1, &address).await.1, 0, "it still stands for its name");
    }
}

#[tokio::test]
async fn a_client_with_many_udp_associations_leaves_some_to_others() {
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let options = UdpOptions::default();
    let proxy = udp::proxy_with(&bridge.address(), &bridge.udp_address(), options).await;
    let associate = async |host: u8, user: &str| {
        let (mut control, code) = ask(&proxy, host, user, UDP_ASSOCIATE, &binary([0, 0, 0, 0].into())).await;
        let mut rest = [0; 8];
        control.read_exact(&mut rest).await.unwrap();
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, host], 0))).await.unwrap();
        let port = u16::from_be_bytes([rest[6], rest[7]]);
        (code == 0).then(|| udp::Client { control, socket, relay: ([127, 0, 0, 1], port).into() })
    };
    let mut held = Vec::new();
    // One identity is enough for this.
    for _ in 0..12 {
        held.extend(associate(EVE, "e").await);
    }
    assert_eq!(held.len(), 6, "a client alone gets three quarters");
    let mut others = Vec::new();
    for (host, user) in [(ANNA, "a"), (BERT, "b")] {
        others.push(associate(host, user).await.unwrap_or_else(|| panic!("{user} is refused")));
    }
    assert!(associate(CARL, "c").await.is_none(), "all are in use");
    // What is in use stays in use.
    for client in others.iter().chain(&held) {
        client.echo(b"served").await;
    }
    drop(held.pop());
    let again = async {
        while associate(CARL, "c").await.is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, again).await.unwrap();
}

#[tokio::test]
async fn a_client_that_gives_udp_associations_up_opens_few_sessions() {
    // It opens a session of its own for datagrams, not one beside the streams'.
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let proxy = udp::proxy_with(&bridge.address(), &bridge.udp_address(), UdpOptions::default()).await;
    const DATAGRAMS: &str = "SESSION CREATE STYLE=DATAGRAM";
    // Each is given up before the router has opened its session, so that there is never one to use again.
    bridge.on(DATAGRAMS, [Act::Hang]);
    let opened = || bridge.commands().iter().filter(|line| line.starts_with(DATAGRAMS)).count();
    for _ in 0..100 {
        let mut eve = connect_from(&proxy, EVE).await;
        let before = opened();
        eve.write_all(&request("e", UDP_ASSOCIATE, &binary([0, 0, 0, 0].into()))).await.unwrap();
        for _ in 0..20 {
            if opened() > before {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        SockRef::from(&eve).set_linger(Some(Duration::ZERO)).unwrap();
    }
    assert!((2..=17).contains(&opened()), "{} sessions", opened());
}
