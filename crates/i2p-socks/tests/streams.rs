//! `connect` and `listen`, through a proxy that runs and with sessions of their own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    ops::{Deref, DerefMut},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
};

use common::Running;
use i2p_name::{Destination, I2pName};
use i2p_sam::{Bridge, Session, SessionOptions};
use sam_testkit::{Dialect, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A router, a directory for state and configuration, and what runs with them.
struct Lab {
    bridge: TestBridge,
    dir: tempfile::TempDir,
}

impl Lab {
    async fn new(dialect: Dialect) -> Self {
        let bridge = TestBridge::start_as(dialect).await;
        bridge.host("echo.i2p", Endpoint::Echo);
        bridge.host("answer.i2p", Endpoint::AnswerAfterFin(b"the answer".to_vec()));
        bridge.host("source.i2p", Endpoint::Source(b"all there is".to_vec()));
        bridge.host("whoami.i2p", Endpoint::Whoami);
        Self { bridge, dir: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> &Path {
        self.dir.path()
    }

    /// The words of a command on this router, with this state.
    fn command(&self, words: &[&str], config: &str) -> Command {
        let file = self.dir.path().join("config.toml");
        let text = format!("[router]\nsam-udp = '{}'\n{config}", self.bridge.udp_address());
        fs::write(&file, text).unwrap();
        let mut command = common::i2p_socks(words);
        command.args(["--router", "sam", "--sam", &self.bridge.address()]);
        command.arg("--state-dir").arg(self.state()).arg("--config").arg(file);
        command
    }

    /// A proxy that runs and is ready.
    fn proxy(&self, config: &str) -> Running {
        let mut command = self.command(&["run"], config);
        command.stdin(Stdio::null());
        let mut proxy = Running::of(command);
        proxy.stdout_line("socks ");
        proxy
    }

    /// Runs a command with this on stdin, which then ends.
    fn run(&self, words: &[&str], config: &str, input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
        let mut child = started(self.command(words, config));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = thread::spawn(move || stdin.write_all(&input));
        let Output { status, stdout, stderr } = child.ended();
        // What ends early does not read it all.
        let _ = writing.join().unwrap();
        (status.code(), stdout, String::from_utf8(stderr).unwrap())
    }
}

fn started(mut command: Command) -> Started {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Started(Some(command.spawn().unwrap()))
}

/// A command that runs. Killed when dropped.
struct Started(Option<Child>);

impl Started {
    fn ended(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Deref for Started {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const SILENT: &str = "[limits]\nhalf-close = '300ms'\n";
const BOTH: &str = "[[tunnel]]\nlisten = ['127.0.0.1:0']\nudp = 'datagram'\nincoming = true\n";
const TCP: &str = "[[tunnel]]\nlisten = ['127.0.0.1:0']\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_through_the_proxy_that_runs_whatever_it_listens_at() {
    let lab = Lab::new(Dialect::I2pd).await;
    let unix = format!("[[tunnel]]\nlisten = ['unix:{}']\n", lab.state().join("socks").display());
    for config in [TCP, &unix] {
        let mut proxy = lab.proxy(config);
        let sessions = lab.bridge.open_sessions();
        // Ended by the far end, though stdin has ended before.
        let (code, stdout, stderr) = lab.run(&["connect", "source.i2p", "80"], config, b"");
        assert_eq!((code, stdout.as_slice()), (Some(0), &b"all there is"[..]), "{stderr}");
        // By a destination in base64, which SOCKS5 has no form for.
        let long = lab.bridge.host("source.i2p", Endpoint::Source(b"all there is".to_vec()));
        let (code, stdout, stderr) = lab.run(&["connect", &long], config, b"");
        assert_eq!((code, stdout.as_slice()), (Some(0), &b"all there is"[..]), "{stderr}");
        assert_eq!(lab.bridge.open_sessions(), sessions, "it has none of its own");
        assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_over_a_session_of_its_own_where_no_proxy_runs() {
    let lab = Lab::new(Dialect::I2pd).await;
    let killed = |lab: &Lab| {
        let mut proxy = lab.proxy(TCP);
        assert_eq!(proxy.signal("KILL"), None);
        assert!(lab.state().join("ports.json").exists(), "what a killed proxy leaves");
    };
    for prepare in [|_: &Lab| {}, killed] {
        prepare(&lab);
        let (code, stdout, stderr) = lab.run(&["connect", "whoami.i2p"], TCP, b"");
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.len() > 500, "{stderr}");
    }
}

/// A megabyte comes back while it is still being sent, and the end of stdin does not cut it off.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_comes_back_whole_after_the_end_of_stdin() {
    let lab = Lab::new(Dialect::Java).await;
    let megabyte: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
    let config = format!("{SILENT}{TCP}");
    let check = |how: &str| {
        let (code, stdout, stderr) = lab.run(&["connect", "echo.i2p"], &config, &megabyte);
        assert_eq!(code, Some(0), "{how}: {stderr}");
        assert!(stdout == megabyte, "{how}: {} bytes", stdout.len());
    };
    check("with a session of its own");
    let _proxy = lab.proxy(&config);
    check("through the proxy");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_is_passed_on_to_the_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    // In the place of a proxy: it reads to the end, and answers then.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _control = std::os::unix::net::UnixListener::bind(lab.state().join("control.sock")).unwrap();
    let ports =
        format!("{{\"pid\": 1, \"listeners\": [{{\"tunnel\": \"default\", \"address\": \"{address}\"}}]}}");
    fs::write(lab.state().join("ports.json"), ports).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 7 + 8];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request[..5], &[5, 1, 0, 3, 8]);
        // The far end's first data right behind the reply.
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'h', b'i', b' ']).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    });
    let (code, stdout, stderr) = lab.run(&["connect", "echo.i2p", "22"], "", b"until the end");
    assert_eq!((code, stdout.as_slice()), (Some(0), &b"hi until the end"[..]), "{stderr}");
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_said_in_words() {
    let lab = Lab::new(Dialect::Java).await;
    let check = |words: &[&str], config: &str, says: &[&str], exit: i32| {
        let (code, stdout, stderr) = lab.run(words, config, b"");
        assert_eq!((code, stdout.as_slice()), (Some(exit), &b""[..]), "{words:?}: {stderr}");
        for part in says {
            assert!(stderr.contains(part), "{words:?}: {part:?} is not in\n{stderr}");
        }
    };
    let two = format!("{TCP}[[tunnel]]\nname = 'locked'\nlisten = ['127.0.0.1:0']\nauth = 'required'\n");
    let users = lab.state().join("users");
    let (_, entry, _) = {
        let mut command = common::i2p_socks(&["passwd", "anna"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status, output.stdout, output.stderr)
    };
    fs::write(&users, entry).unwrap();
    let two = format!("{two}users-file = '{}'\n", users.display());
    check(&["connect", "nosuch.i2p"], TCP, &["in no address book. Check the spelling"], 1);
    check(&["connect", "example.com", "80"], TCP, &["Only .i2p goes to I2P"], 1);
    check(&["connect", "--udp", "nosuch.i2p"], TCP, &["in no address book"], 1);
    check(&["connect", "no such host"], TCP, &["that is no host that can be connected to"], 64);
    check(&["connect", "echo.i2p", "--linger", "1s"], TCP, &["--udp"], 64);
    check(&["connect", "echo.i2p", "--tunnel", "other"], TCP, &["no tunnel of that name"], 64);
    check(&["listen", "--forward", "example.com:22"], TCP, &["expected IP:PORT or localhost:PORT"], 64);
    let _proxy = lab.proxy(&two);
    let unknown = ["in no address book, or the destination cannot be reached", "reply 04"];
    check(&["connect", "nosuch.i2p"], TCP, &unknown, 1);
    check(&["connect", "example.com", "80"], TCP, &["(the proxy's reply 02)"], 1);
    check(&["connect", "--udp", "echo.i2p"], TCP, &["carries no datagrams: write udp = \"datagram\""], 1);
    check(&["connect", "--udp", "example.com"], TCP, &["not of I2P"], 1);
    check(&["listen"], TCP, &["takes no streams of others: write incoming = true"], 1);
    check(&["connect", "echo.i2p", "--tunnel", "other"], TCP, &["has no tunnel that is called other"], 64);
    check(&["connect", "echo.i2p", "--tunnel", "locked"], TCP, &["asks for a user name and a password"], 1);
}

/// Every write of ours is one datagram there and back: pipes may join them, so each waits for the one before.
fn datagrams(lab: &Lab, config: &str) {
    let own: Destination = lab.bridge.host("echo.i2p", Endpoint::Echo).parse().unwrap();
    for host in ["echo.i2p", &own.b32().to_string(), &own.to_base64()] {
        let words = ["connect", "--udp", host, "7", "--linger", "100ms"];
        let mut child = started(lab.command(&words, config));
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        for length in [1, 500, 4_000, 10_000] {
            let data = vec![u8::try_from(length % 251).unwrap(); length];
            stdin.write_all(&data).unwrap();
            let mut back = vec![0; length];
            if let Err(error) = stdout.read_exact(&mut back) {
                drop(stdin);
                let Output { status, stderr, .. } = child.ended();
                panic!("{error}: {status} {}", String::from_utf8_lossy(&stderr));
            }
            assert!(back == data, "{length}");
        }
        drop(stdin);
        assert_eq!(stdout.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    // What comes back after the end of stdin is still taken.
    let words = ["connect", "--udp", "echo.i2p", "--linger", "2s"];
    let (code, stdout, stderr) = lab.run(&words, config, b"late");
    assert_eq!((code, stdout.as_slice()), (Some(0), &b"late"[..]), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_through_the_proxy_that_runs() {
    let lab = Lab::new(Dialect::Java).await;
    let _proxy = lab.proxy(BOTH);
    let sessions = lab.bridge.accepted_connections();
    datagrams(&lab, BOTH);
    let (code, _, stderr) = lab.run(&["connect", "--udp", "echo.i2p", "--tunnel", "none"], BOTH, b"");
    assert_eq!(code, Some(64), "{stderr}");
    assert!(lab.bridge.accepted_connections() > sessions, "they went over the bridge");
    let sends = lab.bridge.datagrams().len();
    assert_eq!(sends, 3 * 4 + 1, "one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_over_a_session_of_their_own_though_no_tunnel_has_any() {
    let lab = Lab::new(Dialect::I2pd).await;
    datagrams(&lab, TCP);
    assert_eq!(lab.bridge.datagrams().len(), 3 * 4 + 1, "one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_ends_takes_the_datagrams_with_it() {
    let lab = Lab::new(Dialect::Java).await;
    let mut proxy = lab.proxy(BOTH);
    let mut child = started(lab.command(&["connect", "--udp", "echo.i2p"], BOTH));
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    proxy.signal("KILL");
    let stdin = child.stdin.take();
    let Output { status, stderr, .. } = child.ended();
    drop(stdin);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the proxy has ended, and the datagrams with it"), "{stderr}");
}

/// Another program on the same router.
async fn peer(lab: &Lab) -> Session {
    Bridge::new(lab.bridge.address()).create_session(&SessionOptions::default()).await.unwrap()
}

/// The first line that is an address, and the pipe, which is to stay open.
fn address<R: Read>(lines: R) -> (I2pName, BufReader<R>) {
    let mut lines = BufReader::new(lines);
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended without an address");
        if line.trim_end().ends_with(".b32.i2p") {
            return (I2pName::parse(line.trim_end()).unwrap(), lines);
        }
    }
}

/// Until it is listened at: the proxy waits again after each peer.
async fn stream_to(peer: &Session, name: &I2pName) -> TcpStream {
    loop {
        if let Ok(stream) = peer.connect(name, 0).await {
            return stream;
        }
        tokio::task::yield_now().await;
    }
}

async fn one_stream(lab: &Lab, config: &str) {
    let mut child = started(lab.command(&["listen", "22"], config));
    let (own, _stderr) = address(child.stderr.take().unwrap());
    let peer = peer(lab).await;
    let mut stream = stream_to(&peer, &own).await;
    stream.write_all(b"to stdout").await.unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut back = [0; 9];
    stdout.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"to stdout");
    stdin.write_all(b"from stdin").unwrap();
    let mut back = [0; 10];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"from stdin");
    drop(stream);
    assert_eq!(stdout.read(&mut [0; 1]).unwrap(), 0, "nothing but the stream is on stdout");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_comes_through_the_proxy_that_runs_or_to_a_session_of_its_own() {
    for dialect in [Dialect::Java, Dialect::I2pd, Dialect::Emissary] {
        let lab = Lab::new(dialect).await;
        one_stream(&lab, TCP).await;
        let _proxy = lab.proxy(BOTH);
        one_stream(&lab, BOTH).await;
    }
}

async fn many_streams(lab: &Lab, config: &str) {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = service.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = service.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    let mut child = started(lab.command(&["listen", "--forward", &at], config));
    let (own, _stdout) = address(child.stdout.take().unwrap());
    let peer = peer(lab).await;
    let mut open = Vec::new();
    // More than wait at once; all stay open. A router may close a stream for which nobody waits at that moment.
    for number in 0..10 {
        let stream = loop {
            let mut stream = stream_to(&peer, &own).await;
            let mut back = [0; 1000];
            let echo = async {
                stream.write_all(&[number; 1000]).await?;
                stream.read_exact(&mut back).await
            };
            if echo.await.is_ok() {
                assert_eq!(back, [number; 1000]);
                break stream;
            }
        };
        open.push(stream);
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_peers_are_forwarded_to_a_local_port_until_interrupted() {
    let lab = Lab::new(Dialect::Java).await;
    many_streams(&lab, TCP).await;
    let _proxy = lab.proxy(BOTH);
    many_streams(&lab, BOTH).await;
}

/// A kept key is one address, which does not need a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_kept_where_the_key_is_persistent() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("{TCP}key = 'persistent'\n");
    let listen = || {
        let mut child = started(lab.command(&["listen"], &config));
        let (own, _stderr) = address(child.stderr.take().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        own
    };
    assert_eq!(listen(), listen());
}
