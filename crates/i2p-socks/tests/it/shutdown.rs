//! Shutdown: requests and transfers in progress may finish within a time limit, and the exit code is 0.
#![cfg(unix)]

use std::{
    fs,
    io::Read,
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use sam_testkit::TestBridge;

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
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        echo(&mut busy);
        thread::sleep(Duration::from_millis(20));
    }
    is_cut(idle);
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
