//! Somebody who holds stdout or stderr open and does not read it never delays the proxy.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use sam_testkit::Dialect;
use serde_json::Value;

use crate::common::{Running, connect, echo, lab::Lab};

const LIMIT: Duration = Duration::from_secs(60);

fn tunnels(names: &[&str]) -> String {
    names.iter().map(|name| format!("[[tunnel]]\nname = '{name}'\nlisten = ['127.0.0.1:0']\n")).collect()
}

/// The two ends of a full pipe. A write into the second end waits until the first is read.
fn full() -> (UnixStream, OwnedFd) {
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[b'\n'; 64]).is_ok() {}
    while writer.write(b"\n").is_ok() {}
    writer.set_nonblocking(false).unwrap();
    (reader, writer.into())
}

/// Starts a proxy with a tunnel `a`. A shell redirects to its stdin, which is full, before.
fn proxy(lab: &Lab, redirection: &str, full: OwnedFd) -> Running {
    let proxy = lab.command(&["run", "-vv"], &tunnels(&["a"]));
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {redirection} 0</dev/null")]).arg(proxy.get_program());
    command.args(proxy.get_args()).stdin(Stdio::from(full));
    Running::of(command)
}

/// Where a tunnel listens, once it does.
fn address(lab: &Lab, tunnel: &str) -> SocketAddr {
    let begin = Instant::now();
    loop {
        let ports: Option<Value> = fs::read_to_string(lab.state().join("ports.json"))
            .ok()
            .and_then(|ports| serde_json::from_str(&ports).ok());
        let found = ports.and_then(|ports| {
            let listeners = ports["listeners"].as_array()?.clone();
            listeners.into_iter().find(|listener| listener["tunnel"] == tunnel)
        });
        if let Some(found) = found {
            return found["address"].as_str().unwrap().parse().unwrap();
        }
        assert!(begin.elapsed() < LIMIT, "tunnel {tunnel} does not listen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Fetches through the proxy, each time with some lines of log.
fn use_proxy(proxy: SocketAddr) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..100 {
            let (code, mut stream) = connect(proxy, "echo.i2p");
            assert_eq!(code, 0);
            echo(&mut stream);
        }
        done.send(()).unwrap();
    });
    is_done.recv_timeout(LIMIT).expect("clients wait for somebody who reads what the proxy says");
}

fn check_that_nothing_waits(lab: &Lab, running: &mut Running) {
    let first = address(lab, "a");
    use_proxy(first);
    // Written for the reload.
    let _ = lab.command(&["run"], &tunnels(&["a", "b"]));
    let (code, _, stderr) = lab.run(&["new-identity"], &tunnels(&["a", "b"]), b"");
    assert_eq!(code, Some(0), "{stderr}");
    running.send("HUP");
    use_proxy(address(lab, "b"));
    running.send("HUP");
    assert_eq!(lab.run(&["status", "--wait"], &tunnels(&["a", "b"]), b"").0, Some(0));
    use_proxy(first);
    assert_eq!(running.signal("TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stdout_delays_neither_clients_nor_reloads_nor_the_end() {
    let lab = Lab::new(Dialect::Java).await;
    let (_reader, writer) = full();
    let mut running = proxy(&lab, ">&0", writer);
    check_that_nothing_waits(&lab, &mut running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stderr_delays_neither_clients_nor_reloads_nor_the_end() {
    let lab = Lab::new(Dialect::Java).await;
    let (_reader, writer) = full();
    let mut running = proxy(&lab, "2>&0", writer);
    running.stdout_line("socks ");
    check_that_nothing_waits(&lab, &mut running);
}

/// A reader that reads again gets what was written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_meanwhile_can_be_read_later() {
    let lab = Lab::new(Dialect::Java).await;
    let (mut reader, writer) = full();
    let mut running = proxy(&lab, "2>&0", writer);
    running.stdout_line("socks ");
    use_proxy(address(&lab, "a"));
    let reading = thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        said
    });
    assert_eq!(running.signal("TERM"), Some(0));
    let said = reading.join().unwrap();
    assert!(said.contains("[1/3] looking for") && said.contains("all connections are closed"), "{said}");
}
