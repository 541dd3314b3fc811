//! Shutdown in steps: running transfers continue, idle connections are cut.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use i2p_name::{I2pName, VirtualOptions};
use i2p_sam::{Bridge, SessionOptions};
use i2p_tunnel::{
    AddressPool, Isolate, Limits, Listeners, PoolOptions, SamDialler, Service, SessionPolicy, SessionPool,
    Stop, serve,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{interval, sleep, timeout},
};

use crate::common::{socks5_command, socks5_request};

const TIMEOUT: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(300);

/// Starts a proxy. Returns its address, its stop handle, and the task that ends with the last connection.
async fn start(bridge: &TestBridge) -> (std::net::SocketAddr, Stop, JoinHandle<()>) {
    start_with(bridge, PoolOptions::default(), SessionPolicy::default()).await
}

async fn start_with(
    bridge: &TestBridge,
    options: PoolOptions,
    sessions: SessionPolicy,
) -> (std::net::SocketAddr, Stop, JoinHandle<()>) {
    let pool = SessionPool::new(Bridge::new(bridge.address()), options);
    let dialler = SamDialler::new(pool);
    let limits = Limits { half_close: QUIET, linger: QUIET, ..Limits::default() };
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("test", dialler, addresses).with_limits(limits).with_sessions(sessions);
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let (address, stop) = (listeners.addresses().unwrap()[0].tcp().unwrap(), Stop::new());
    let serving = tokio::spawn(serve(listeners, watch::channel(Arc::new(service)).1, stop.clone()));
    (address, stop, serving)
}

/// Opens a stream to the echo service and exchanges one byte.
async fn open(address: std::net::SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&socks5_request("echo.i2p", 80)).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[3], 0);
    echo(&mut client).await;
    client
}

async fn echo(client: &mut TcpStream) {
    client.write_all(b"x").await.unwrap();
    assert_eq!(timeout(TIMEOUT, client.read_u8()).await.unwrap().unwrap(), b'x');
}

async fn is_cut(mut client: TcpStream) {
    assert_eq!(timeout(TIMEOUT, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn draining_keeps_transfers_and_cuts_idle_connections() {
    let bridge = TestBridge::start().await;
    let (address, stop, serving) = start(&bridge).await;
    let (mut busy, idle) = (open(address).await, open(address).await);
    let silent = TcpStream::connect(address).await.unwrap();
    let idle_cut = async {
        is_cut(silent).await;
        is_cut(idle).await;
    };
    stop.drain(QUIET);
    tokio::select! {
        () = async { loop { echo(&mut busy).await } } => {}
        () = idle_cut => {}
    }
    assert!(!serving.is_finished(), "the transfer continues");
    echo(&mut busy).await;
    assert!(TcpStream::connect(address).await.is_err(), "no new client is accepted");
    busy.shutdown().await.unwrap();
    timeout(TIMEOUT, serving).await.unwrap().unwrap();
}

/// The kernel tells the proxy that it may write again only once a third of its buffer is free, which takes such a client longer.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn draining_keeps_transfers_to_clients_that_read_slowly_until_they_stop_reading() {
    let bridge = TestBridge::start().await;
    const LENGTH: usize = 64 * 1024 * 1024;
    bridge.host("source.i2p", Endpoint::Source(vec![b'x'; LENGTH]));
    bridge.host("page.i2p", Endpoint::Http("x".repeat(LENGTH)));
    for request in [
        socks5_request("source.i2p", 80),
        b"GET http://page.i2p/ HTTP/1.1\r\nHost: page.i2p\r\n\r\n".to_vec(),
    ] {
        let (address, stop, serving) = start(&bridge).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&request).await.unwrap();
        let mut read = vec![0; 64 * 1024];
        client.read_exact(&mut read).await.unwrap();
        stop.drain(QUIET);
        // The buffers fill up at once, since the client reads at this pace.
        let mut pace = interval(QUIET / 10);
        for _ in 0..70 {
            client.read_exact(&mut read).await.unwrap();
            pace.tick().await;
        }
        assert!(!serving.is_finished(), "the client reads");
        timeout(TIMEOUT, serving).await.unwrap().unwrap();
    }
}

/// Programs report a closed connection as a defect of the proxy, and a code or a status as what it is.
#[tokio::test]
async fn requests_that_wait_are_not_idle_and_get_an_answer_before_their_connections_end() {
    let bridge = TestBridge::start().await;
    // Each request waits for a session of its own.
    let isolate = Isolate { dest_host: true, ..Isolate::NONE };
    let sessions = SessionPolicy { isolate, ..SessionPolicy::default() };
    let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
    let (address, stop, serving) = start_with(&bridge, options, sessions).await;
    let idle = open(address).await;
    bridge.on("SESSION CREATE", [Act::Hang]);
    let mut resolve = socks5_request("b.i2p", 0);
    resolve[4] = 0xF0;
    let socks4 = [&[4, 1, 0, 80, 0, 0, 0, 1, 0][..], b"c.i2p\0"].concat();
    let status = "HTTP/1.1 503 The proxy is stopping\r\n";
    let requests = [
        (socks5_request("a.i2p", 80), vec![5, 1]),
        (resolve, vec![5, 1]),
        (socks4, vec![0, 91]),
        (b"CONNECT d.i2p:80 HTTP/1.1\r\nHost: d.i2p:80\r\n\r\n".to_vec(), status.into()),
        (b"GET http://e.i2p/ HTTP/1.1\r\nHost: e.i2p\r\n\r\n".to_vec(), status.into()),
        (
            b"POST http://f.i2p/ HTTP/1.1\r\nHost: f.i2p\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
            status.into(),
        ),
    ];
    let asked = bridge.times("SESSION CREATE").len() + requests.len();
    let mut clients = Vec::new();
    for (request, expected) in requests {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&request).await.unwrap();
        if request[0] == 5 {
            timeout(TIMEOUT, client.read_exact(&mut [0; 2])).await.unwrap().unwrap();
        }
        clients.push((client, expected));
    }
    let all_wait = async {
        while bridge.times("SESSION CREATE").len() < asked {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, all_wait).await.unwrap();
    stop.drain(QUIET);
    is_cut(idle).await;
    for (client, expected) in &clients {
        let read = client.try_read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Err(ErrorKind::WouldBlock), "{:?} waits", expected.escape_ascii().to_string());
    }
    stop.refuse();
    for (mut client, expected) in clients {
        let mut answer = Vec::new();
        timeout(TIMEOUT, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(
            answer.starts_with(&expected),
            "{:?}: {:?}",
            expected.escape_ascii().to_string(),
            answer.escape_ascii().to_string()
        );
    }
    timeout(TIMEOUT, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_can_wait_for_a_peer_until_requests_that_wait_are_refused() {
    let bridge = TestBridge::start().await;
    let options = PoolOptions { session: SessionOptions::default().publish(true), ..PoolOptions::default() };
    let sessions = SessionPolicy { incoming: true, ..SessionPolicy::default() };
    let (address, stop, serving) = start_with(&bridge, options, sessions).await;
    let (mut served, own) = bind(address).await;
    let (mut waiting, _) = bind(address).await;
    stop.drain(QUIET);
    let peer = Bridge::new(bridge.address()).create_session(&SessionOptions::default()).await.unwrap();
    let stream = peer.connect(&own, 0).await.unwrap();
    let mut reply = [0; 2];
    timeout(TIMEOUT, served.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply, [5, 0], "the peer connects while the proxy drains");
    // It is idle then.
    while timeout(TIMEOUT, served.read(&mut [0; 64])).await.unwrap().unwrap_or(0) > 0 {}
    assert!(!serving.is_finished(), "the other one waits");
    stop.refuse();
    let mut answer = Vec::new();
    timeout(TIMEOUT, waiting.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(&[5, 1, 0]), "{answer:?}");
    timeout(TIMEOUT, serving).await.unwrap().unwrap();
    drop(stream);
}

/// A client whose BIND waits for any peer, and the address that it was told.
async fn bind(address: std::net::SocketAddr) -> (TcpStream, I2pName) {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&socks5_command(2, &[1, 0, 0, 0, 0], 7)).await.unwrap();
    let mut waits = [0; 7];
    timeout(TIMEOUT, client.read_exact(&mut waits)).await.unwrap().unwrap();
    assert_eq!(waits[..6], [5, 0, 5, 0, 0, 3]);
    let mut own = vec![0; usize::from(waits[6]) + 2];
    client.read_exact(&mut own).await.unwrap();
    own.truncate(usize::from(waits[6]));
    (client, I2pName::parse(std::str::from_utf8(&own).unwrap()).unwrap())
}

#[tokio::test]
async fn streams_end_when_requests_that_wait_are_refused() {
    let bridge = TestBridge::start().await;
    bridge.host("source.i2p", Endpoint::Source(vec![b'x'; 64 * 1024 * 1024]));
    bridge.host("page.i2p", Endpoint::Http("x".repeat(64 * 1024 * 1024)));
    let (address, stop, serving) = start(&bridge).await;
    let mut clients = vec![open(address).await];
    for request in [
        socks5_request("source.i2p", 80),
        b"GET http://page.i2p/ HTTP/1.1\r\nHost: page.i2p\r\n\r\n".to_vec(),
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&request).await.unwrap();
        client.read_exact(&mut [0; 1024]).await.unwrap();
        clients.push(client);
    }
    stop.drain(Duration::from_secs(3600));
    echo(&mut clients[0]).await;
    stop.refuse();
    timeout(TIMEOUT, serving).await.unwrap().unwrap();
    drop(clients);
}

#[tokio::test]
async fn ending_cuts_transfers_too() {
    let bridge = TestBridge::start().await;
    let (address, stop, serving) = start(&bridge).await;
    let mut busy = open(address).await;
    stop.drain(Duration::from_secs(3600));
    echo(&mut busy).await;
    stop.end();
    is_cut(busy).await;
    timeout(TIMEOUT, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_a_listener_keeps_its_connections() {
    let bridge = TestBridge::start().await;
    let (address, stop, serving) = start(&bridge).await;
    let mut open = open(address).await;
    stop.close();
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, refused).await.unwrap();
    echo(&mut open).await;
    assert!(!serving.is_finished());
    drop(open);
    timeout(TIMEOUT, serving).await.unwrap().unwrap();
}
