//! A client that has closed its socket costs nothing soon, although the far end still waits for it. A client that has only finished
//! sending keeps its stream. If places run out, half-closed streams end before anybody is refused.
#![cfg(target_os = "linux")]

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use i2p_name::VirtualOptions;
use i2p_sam::Bridge;
use i2p_tunnel::{
    AddressPool, Admission, Caps, Limits, Listeners, Metrics, PerClient, PoolOptions, SamDialler, Service,
    SessionPool, metrics::Snapshot, serve,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::common::{Proxy, socks5_request, start_service_at};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any of this may take.
const LONG: Duration = Duration::from_secs(600);

/// A proxy whose time limits no test reaches.
struct Patient {
    proxy: Proxy,
    admission: Admission,
    metrics: Metrics,
}

fn service(
    bridge: &TestBridge,
    caps: Caps,
    sessions: usize,
) -> (Service<SamDialler>, SessionPool, Admission, Metrics) {
    bridge.host("sink.i2p", Endpoint::Sink);
    let (admission, metrics) = (Admission::new(caps), Metrics::new());
    let max_sessions = NonZeroUsize::new(sessions).unwrap();
    let options = PoolOptions { max_sessions, ..PoolOptions::default() };
    let pool = SessionPool::new(Bridge::new(bridge.address()), options);
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("test", SamDialler::new(pool.clone()), addresses)
        .with_limits(Limits { half_close: LONG, dial: LONG, linger: LONG, ..Limits::default() })
        .with_admission(admission.clone())
        .with_account(metrics.account("main"));
    (service, pool, admission, metrics)
}

async fn start_at(listen: &str, bridge: &TestBridge, caps: Caps, sessions: usize) -> Patient {
    let (service, pool, admission, metrics) = service(bridge, caps, sessions);
    pool.first_ready().await.unwrap();
    let proxy = start_service_at(listen, service, pool).await;
    Patient { proxy, admission, metrics }
}

async fn start(bridge: &TestBridge) -> Patient {
    start_at("127.0.0.1:0", bridge, Caps::default(), 8).await
}

async fn until(what: &str, limit: Duration, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Opens a stream.
async fn open(client: &mut (impl AsyncRead + AsyncWrite + Unpin), host: &str) {
    client.write_all(&socks5_request(host, 80)).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[3], 0, "{host}");
}

/// Opens a stream to a far end that waits for the client's end, with a session of its own for each user. Returns the code.
async fn open_as(proxy: &Proxy, user: usize) -> (TcpStream, u8) {
    let mut client = proxy.connect().await;
    let login = format!("\x01\x02{user:02}\x01x");
    let request = b"\x05\x01\0\x03\x08sink.i2p\0\x50";
    client.write_all(&[b"\x05\x01\x02", login.as_bytes(), request].concat()).await.unwrap();
    let mut answer = [0; 14];
    client.read_exact(&mut answer).await.unwrap();
    (client, answer[5])
}

impl Patient {
    async fn has_nothing_left(&self, limit: Duration) {
        until("no connection is left", limit, || self.admission.connections() == 0).await;
        let used = || self.proxy.pool.sessions().iter().map(|session| session.leases).sum::<usize>();
        until("no session is used", limit, || used() == 0).await;
    }

    fn half_closed_ended(&self, count: u32) {
        let text = self.metrics.encode(&Snapshot::default());
        let line = format!("limits_reached_total{{tunnel=\"main\",limit=\"half_close\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

/// Whether the client's stream was cut.
async fn is_cut(client: &mut TcpStream) -> bool {
    match timeout(SECOND, client.read(&mut [0; 1])).await {
        Ok(read) => read.unwrap_or(0) == 0,
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_closed_client_costs_nothing_a_second_later() {
    let bridge = TestBridge::start().await;
    for (listen, connect) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
        let patient = start_at(listen, &bridge, Caps::default(), 8).await;
        for sent in [&b""[..], b"some data"] {
            let mut client = TcpStream::connect((connect, patient.proxy.address.port())).await.unwrap();
            open(&mut client, "sink.i2p").await;
            client.write_all(sent).await.unwrap();
            drop(client);
            patient.has_nothing_left(SECOND).await;
        }
        patient.half_closed_ended(0);
    }
}

#[tokio::test]
async fn a_client_that_closes_after_it_has_finished_sending_costs_nothing_soon() {
    let bridge = TestBridge::start().await;
    let patient = start(&bridge).await;
    for reset in [false, true] {
        let mut client = patient.proxy.connect().await;
        open(&mut client, "sink.i2p").await;
        client.shutdown().await.unwrap();
        sleep(SECOND).await;
        assert_eq!(patient.admission.connections(), 1, "it may wait for an answer");
        if reset {
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
        patient.has_nothing_left(if reset { SECOND / 2 } else { 3 * SECOND }).await;
    }
}

#[tokio::test]
async fn a_closed_client_of_a_unix_socket_costs_nothing_a_second_later() {
    let bridge = TestBridge::start().await;
    let (service, pool, admission, _) = service(&bridge, Caps::default(), 8);
    pool.first_ready().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socks");
    let listeners = Listeners::bind(&[format!("unix:{}", path.display()).parse().unwrap()]).await.unwrap();
    let stop = CancellationToken::new();
    let _stop: DropGuard = stop.clone().drop_guard();
    tokio::spawn(serve(listeners, watch::channel(Arc::new(service)).1, stop));
    let mut client = UnixStream::connect(&path).await.unwrap();
    open(&mut client, "sink.i2p").await;
    client.shutdown().await.unwrap();
    sleep(SECOND).await;
    assert_eq!(admission.connections(), 1, "it may wait for an answer");
    drop(client);
    until("no connection is left", SECOND, || admission.connections() == 0).await;
}

/// All of the data is delivered, and the far end sees its end.
#[tokio::test]
async fn what_a_client_has_sent_before_it_closed_arrives() {
    let bridge = TestBridge::start().await;
    let heard = Act::Listen(SECOND / 2);
    bridge.on(
        "STREAM CONNECT",
        [Act::line("STREAM STATUS RESULT=OK"), Act::Send(b"unread".to_vec()), heard, Act::Close],
    );
    let patient = start(&bridge).await;
    let mut client = patient.proxy.connect().await;
    open(&mut client, "known.i2p").await;
    client.read_exact(&mut [0; 6]).await.unwrap();
    client.write_all(b"the last words").await.unwrap();
    drop(client);
    patient.has_nothing_left(2 * SECOND).await;
    assert_eq!(bridge.commands().last().unwrap(), "the last words");
}

/// As `printf REQUEST | nc -N HOST PORT` does.
#[tokio::test]
async fn a_client_that_has_finished_sending_gets_the_whole_answer_however_late_it_is() {
    let bridge = TestBridge::start().await;
    let part = vec![7; 300_000];
    let late = (0..4).flat_map(|_| [Act::Wait(SECOND), Act::Send(part.clone())]);
    let heard = [Act::line("STREAM STATUS RESULT=OK"), Act::Listen(SECOND / 2)];
    bridge.on("STREAM CONNECT", heard.into_iter().chain(late).chain([Act::Close]));
    let patient = start(&bridge).await;
    let mut client = patient.proxy.connect().await;
    open(&mut client, "known.i2p").await;
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.len(), 4 * part.len());
}

#[tokio::test]
async fn a_client_that_closes_while_its_request_is_dialled_costs_nothing_soon() {
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::Hang]);
    let patient = start(&bridge).await;
    let request = socks5_request("known.i2p", 80);
    // Data that nobody reads yet hides the end for up to a second.
    for (ahead, limit) in [(0, SECOND), (5_000, 3 * SECOND)] {
        let mut client = patient.proxy.connect().await;
        client.write_all(&[&request[..], &vec![7; ahead]].concat()).await.unwrap();
        let begun = || bridge.commands().iter().any(|line| line.starts_with("STREAM CONNECT"));
        until("it is dialled", LONG, begun).await;
        // The client has read nothing but the choice of a method.
        client.read_exact(&mut [0; 2]).await.unwrap();
        drop(client);
        patient.has_nothing_left(limit).await;
    }
}

/// The pattern that the README recommends: other credentials for each site.
#[tokio::test]
async fn twelve_sites_visited_one_after_the_other_are_all_served() {
    let bridge = TestBridge::start().await;
    let patient = start(&bridge).await;
    let mut codes = Vec::new();
    for site in 0..12 {
        let (client, code) = open_as(&patient.proxy, site).await;
        codes.push(code);
        drop(client);
    }
    assert_eq!(codes, [0; 12]);
    patient.has_nothing_left(SECOND).await;
}

/// Nobody can tell whether a client on another machine has closed or waits for an answer. These clients have not closed, so they
/// look the same.
#[tokio::test]
async fn the_session_that_only_half_closed_streams_use_for_longest_makes_room() {
    let bridge = TestBridge::start().await;
    let patient = start_at("127.0.0.1:0", &bridge, Caps::default(), 3).await;
    let (mut first, _) = open_as(&patient.proxy, 1).await;
    let (mut second, _) = open_as(&patient.proxy, 2).await;
    let (mut busy, _) = open_as(&patient.proxy, 2).await;
    let (mut third, _) = open_as(&patient.proxy, 3).await;
    assert_eq!(open_as(&patient.proxy, 4).await.1, 1, "all are in use");
    // The second one's session is in use by another stream, too.
    for client in [&mut second, &mut third, &mut first] {
        client.shutdown().await.unwrap();
        sleep(SECOND / 10).await;
    }
    let (_fourth, code) = open_as(&patient.proxy, 4).await;
    assert_eq!(code, 0);
    assert!(is_cut(&mut third).await);
    assert!(!is_cut(&mut first).await && !is_cut(&mut second).await && !is_cut(&mut busy).await);
    patient.half_closed_ended(1);
    busy.shutdown().await.unwrap();
    let (_fifth, code) = open_as(&patient.proxy, 5).await;
    assert_eq!(code, 0);
    assert!(is_cut(&mut first).await && !is_cut(&mut second).await);
    let (_sixth, code) = open_as(&patient.proxy, 6).await;
    assert_eq!(code, 0);
    assert!(is_cut(&mut second).await && is_cut(&mut busy).await);
    assert_eq!(open_as(&patient.proxy, 7).await.1, 1, "the others are in use");
}

#[tokio::test]
async fn the_oldest_half_closed_stream_makes_room_for_a_connection() {
    let bridge = TestBridge::start().await;
    let every = [
        Caps { connections: 3, ..Caps::default() },
        Caps { per_client: PerClient::AtMost(3), ..Caps::default() },
        Caps { per_tunnel: Some(3), ..Caps::default() },
    ];
    for caps in every {
        let patient = start_at("127.0.0.1:0", &bridge, caps, 8).await;
        let (mut first, mut second) = (patient.proxy.connect().await, patient.proxy.connect().await);
        let mut busy = patient.proxy.connect().await;
        for client in [&mut first, &mut second, &mut busy] {
            open(client, "sink.i2p").await;
        }
        assert_eq!(patient.proxy.socks5("sink.i2p", 80).await.1, 1, "{caps:?}");
        for client in [&mut second, &mut first] {
            client.shutdown().await.unwrap();
            sleep(SECOND / 10).await;
        }
        let (_fourth, code) = patient.proxy.socks5("sink.i2p", 80).await;
        assert_eq!(code, 0, "{caps:?}");
        assert!(is_cut(&mut second).await, "{caps:?}");
        assert!(!is_cut(&mut first).await && !is_cut(&mut busy).await, "{caps:?}");
        let (_fifth, code) = patient.proxy.socks5("sink.i2p", 80).await;
        assert_eq!(code, 0, "{caps:?}");
        assert!(is_cut(&mut first).await, "{caps:?}");
        assert_eq!(patient.proxy.socks5("sink.i2p", 80).await.1, 1, "{caps:?}");
        assert_eq!(patient.admission.connections(), 3);
    }
}
