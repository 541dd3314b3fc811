//! Shutdown: requests and transfers in progress may finish within a time limit, and the exit code is 0.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use sam_testkit::{Act, TestBridge};

use crate::common::{Running, connect, echo};

fn start(bridge: &TestBridge, dir: &tempfile::TempDir, grace: &str, idle: &str) -> Running {
    let config = dir.path().join("config.toml");
    fs::write(&config, format!("[shutdown]\ngrace = '{grace}'\nidle = '{idle}'\n")).unwrap();
    let state = dir.path().join("state");
    Running::start(&[
        "--sam",
        &bridge.address(),
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
    ])
}

fn is_cut(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_in_progress_finishes() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = start(&bridge, &dir, "1h", "1s");
    let address = proxy.ready();
    let ports = dir.path().join("state/ports.json");
    let text = fs::read_to_string(&ports).unwrap();
    let written: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["listeners"][0]["address"], address.to_string().as_str(), "{text}");
    let (_, mut busy) = connect(address, "echo.i2p");
    let (_, idle) = connect(address, "echo.i2p");
    proxy.send("TERM");
    proxy.stderr_line("stopping: no more clients");
    let idle = thread::spawn(|| is_cut(idle));
    while !idle.is_finished() {
        echo(&mut busy);
    }
    idle.join().unwrap();
    assert!(TcpStream::connect(address).is_err(), "nobody else is let in");
    assert!(proxy.is_running(), "{}", proxy.said());
    busy.shutdown(Shutdown::Write).unwrap();
    assert_eq!(proxy.ended("TERM"), Some(0), "{}", proxy.said());
    assert!(proxy.said().contains("all connections are closed"), "{}", proxy.said());
    assert!(!ports.exists(), "what tells where it listens is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_takes_too_long_is_cut_at_the_deadline() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = start(&bridge, &dir, "1500ms", "1h");
    let (_, stream) = connect(proxy.ready(), "echo.i2p");
    let begin = Instant::now();
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    assert!(begin.elapsed() >= Duration::from_millis(1500), "{:?}", begin.elapsed());
    assert!(proxy.said().contains("were cut"), "{}", proxy.said());
    is_cut(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = start(&bridge, &dir, "1h", "1h");
    let (_, mut stream) = connect(proxy.ready(), "echo.i2p");
    proxy.send("INT");
    proxy.stderr_line("a second signal ends them at once");
    echo(&mut stream);
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    is_cut(stream);
}

/// A client of SOCKS5 and one of HTTP that ask for a site, and what each of them is told at the end.
struct Waiting([TcpStream; 2]);

impl Waiting {
    fn ask(proxy: std::net::SocketAddr) -> Self {
        let ask = |request: &[u8]| {
            let mut client = TcpStream::connect(proxy).unwrap();
            client.write_all(request).unwrap();
            client
        };
        // With other credentials: each waits for a session of its own.
        let socks = [&[5, 1, 2, 1, 1, b'a', 1, b'a', 5, 1, 0, 3, 8][..], b"echo.i2p", &[0, 80]].concat();
        let http = b"GET http://echo.i2p/ HTTP/1.1\r\nHost: echo.i2p\r\n\r\n";
        Self([ask(&socks), ask(http)])
    }

    fn are_told_that_the_proxy_stops(self) {
        for (mut client, expected) in self
            .0
            .into_iter()
            .zip([&b"\x05\x02\x01\x00\x05\x01"[..], b"HTTP/1.1 503 The proxy is stopping\r\n"])
        {
            let mut answer = Vec::new();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(expected), "{}", answer.escape_ascii());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_for_a_session_learn_at_the_end_of_the_grace_time_that_the_proxy_stops() {
    for (grace, signals) in [("1s", 1), ("1h", 2)] {
        let bridge = TestBridge::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut proxy = start(&bridge, &dir, grace, "100ms");
        let address = proxy.ready();
        bridge.on("SESSION CREATE", [Act::Hang]);
        proxy.send("USR1");
        proxy.stderr_line("new identities");
        let asked = bridge.times("SESSION CREATE").len() + 2;
        let waiting = Waiting::ask(address);
        let begin = Instant::now();
        while bridge.times("SESSION CREATE").len() < asked {
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", bridge.commands());
            thread::sleep(Duration::from_millis(5));
        }
        let begin = Instant::now();
        proxy.send("TERM");
        proxy.stderr_line("stopping: no more clients");
        if signals == 2 {
            proxy.send("TERM");
        }
        waiting.are_told_that_the_proxy_stops();
        assert_eq!(proxy.ended("TERM"), Some(0), "{}", proxy.said());
        assert_eq!(begin.elapsed() >= Duration::from_secs(1), signals == 1, "{:?}", begin.elapsed());
    }
}

/// Nobody has told it to stop: it has found no router that it can use.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_are_told_when_the_proxy_ends_with_an_error() {
    let bridge = TestBridge::start().await;
    let refused = Act::line("HELLO REPLY RESULT=NOVERSION");
    bridge.on("HELLO", [Act::Wait(Duration::from_secs(2)), refused, Act::Close]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = port.to_string();
    let mut proxy = Running::start(&["--router", "sam", "--sam", &bridge.address(), "--listen", &listen]);
    let begin = Instant::now();
    while TcpStream::connect(port).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", proxy.said());
        thread::sleep(Duration::from_millis(10));
    }
    Waiting::ask(port).are_told_that_the_proxy_stops();
    assert_eq!(proxy.ended("itself"), Some(1), "{}", proxy.said());
    assert!(proxy.said().contains("NOVERSION"), "{}", proxy.said());
}
