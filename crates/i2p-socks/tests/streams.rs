//! `connect` and `listen`, through a proxy that runs and with sessions of their own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use common::lab::{LIMIT, Lab, Started, started};
use i2p_name::{Destination, I2pName};
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, Ports, Session, SessionOptions};
use sam_testkit::{Dialect, Endpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    time::{sleep, timeout},
};

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
    // The echo never says its end, which ours would be the reason for: a limit cuts the stream, and that is no success.
    let check = |how: &str, says: &str| {
        let (code, stdout, stderr) = lab.run(&["connect", "echo.i2p"], &config, &megabyte);
        assert_eq!(code, Some(1), "{how}: {stderr}");
        assert!(stderr.contains(says), "{how}: {stderr}");
        assert!(stdout == megabyte, "{how}: {} bytes", stdout.len());
    };
    check("with a session of its own", "silent for 300ms after all was sent");
    let _proxy = lab.proxy(&config);
    check("through the proxy", "the stream broke");
}

/// Routers end the whole stream with our half of it, and what the peer still has to say would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_is_kept_from_the_router() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("{SILENT}{TCP}");
    // It would answer if it were told.
    let (code, stdout, stderr) = lab.run(&["connect", "answer.i2p"], &config, b"all of it");
    assert_eq!((code, stdout.as_slice()), (Some(1), &b""[..]), "{stderr}");
    assert!(stderr.contains("has not said that it has finished"), "{stderr}");
}

/// A listener that commands take for the proxy that runs.
async fn in_the_place_of_a_proxy(lab: &Lab) -> (TcpListener, UnixListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = UnixListener::bind(lab.state().join("control.sock")).unwrap();
    let ports =
        format!("{{\"pid\": 1, \"listeners\": [{{\"tunnel\": \"default\", \"address\": \"{address}\"}}]}}");
    fs::write(lab.state().join("ports.json"), ports).unwrap();
    (listener, control)
}

/// A client of SOCKS5, up to its request.
async fn greeted(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    stream.write_all(&[5, 0]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_is_passed_on_to_the_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    // It reads to the end, and answers then.
    let (listener, _control) = in_the_place_of_a_proxy(&lab).await;
    let serving = tokio::spawn(async move {
        let mut stream = greeted(&listener).await;
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

/// A file with one user, anna, whose password is secret.
fn users(lab: &Lab) -> PathBuf {
    let file = lab.state().join("users");
    let mut command = common::i2p_socks(&["passwd", "anna"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    fs::write(&file, child.wait_with_output().unwrap().stdout).unwrap();
    file
}

/// The password comes from a file or from the environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_comes_through_a_tunnel_that_asks_for_passwords() {
    let lab = Lab::new(Dialect::I2pd).await;
    let file = |name: &str, text: &str| {
        let file = lab.state().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "secret\n"), file("wrong", "Secret\n"));
    let (users, right, wrong) = (users(&lab), right.as_str(), wrong.as_str());
    let locked = format!("{BOTH}auth = 'required'\nusers-file = '{}'\n", users.display());
    let _proxy = lab.proxy(&locked);
    let destination = lab.bridge.host("source.i2p", Endpoint::Source(b"all there is".to_vec()));
    for host in ["source.i2p", &destination] {
        let words = ["connect", host, "--user", "anna", "--password-file", right];
        let (code, stdout, stderr) = lab.run(&words, &locked, b"");
        assert_eq!((code, stdout.as_slice()), (Some(0), &b"all there is"[..]), "{stderr}");
    }
    let udp = ["connect", "--udp", "echo.i2p", "--linger", "2s", "--user", "anna", "--password-file", right];
    let (code, stdout, stderr) = lab.run(&udp, &locked, b"datagram");
    assert_eq!((code, stdout.as_slice()), (Some(0), &b"datagram"[..]), "{stderr}");
    let mut command = lab.command(&["connect", "source.i2p", "--user", "anna"], &locked);
    command.env("I2P_SOCKS_PASSWORD", "secret");
    let Output { status, stdout, .. } = started(command).ended();
    assert!(status.success() && stdout == b"all there is", "{status}");
    let command = lab.command(&["listen", "--user", "anna", "--password-file", right], &locked);
    let mut listening = started(command);
    let mut line = String::new();
    BufReader::new(listening.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with(".b32.i2p\n"), "{line}");
    for (words, says, exit) in [
        (
            &["--user", "anna", "--password-file", wrong][..],
            "has no such user, or the user has another password",
            1,
        ),
        (
            &["--user", "bert", "--password-file", right],
            "has no such user, or the user has another password",
            1,
        ),
        (&[], "give them with --user NAME and --password-file FILE", 1),
        (&["--user", "anna"], "--user needs a password", 64),
        (&["--password-file", right], "--user <NAME>", 64),
        (
            &["--user", "anna", "--password-file", "/nonexistent"],
            "cannot use the password file /nonexistent",
            64,
        ),
        (&["--user", "", "--password-file", right], "--user: the name is empty", 64),
    ] {
        let (code, stdout, stderr) = lab.run(&[&["connect", "source.i2p"], words].concat(), &locked, b"");
        assert_eq!((code, stdout.as_slice()), (Some(exit), &b""[..]), "{words:?}: {stderr}");
        assert!(stderr.contains(says) && !stderr.contains("ecret"), "{words:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_no_end() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = in_the_place_of_a_proxy(&lab).await;
    let mut child = started(lab.command(&["connect", "echo.i2p"], ""));
    let mut stream = greeted(&listener).await;
    stream.read_exact(&mut [0; 7 + 8]).await.unwrap();
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'x']).await.unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // Closed so, it is reset.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let Output { status, stderr, .. } = child.ended();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the stream broke"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_asked_to_listen_at_the_port_and_its_first_data_are_the_peers() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = in_the_place_of_a_proxy(&lab).await;
    let mut child = started(lab.command(&["listen", "22"], ""));
    let mut stream = greeted(&listener).await;
    let mut request = [0; 10];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 2, 0, 1, 0, 0, 0, 0, 0, 22]);
    let own = format!("{}.b32.i2p", "a".repeat(52));
    let reply = [&[5, 0, 0, 3, 60], own.as_bytes(), &[0, 22]].concat();
    stream.write_all(&reply).await.unwrap();
    let (said, _stderr) = address(child.stderr.take().unwrap());
    assert_eq!(said.to_string(), own);
    stream.write_all(&[&reply[..], b"hello"].concat()).await.unwrap();
    let mut hello = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
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
    let users = users(&lab);
    let two = format!("{two}users-file = '{}'\n", users.display());
    check(&["connect", "nosuch.i2p"], TCP, &["in no address book. Check the spelling"], 1);
    let (code, _, stderr) = lab.run(&["connect", "example.com", "80"], TCP, b"");
    assert!(code == Some(1) && stderr.contains("Only .i2p goes to I2P"), "{stderr}");
    assert!(!stderr.contains("SAM bridge"), "no router is needed to say so: {stderr}");
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

/// One datagram there and back.
fn echoed(child: &mut Started, data: &[u8]) {
    child.stdin.as_mut().unwrap().write_all(data).unwrap();
    let mut back = vec![0; data.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(data));
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_others_are_not_for_stdout() {
    let lab = Lab::new(Dialect::I2pd).await;
    let words = ["connect", "--udp", "echo.i2p", "7"];
    for runs in [false, true] {
        let _proxy = runs.then(|| lab.proxy(BOTH));
        let mut child = started(lab.command(&words, BOTH));
        echoed(&mut child, b"mine");
        // Whom the echo got it from: "3.0 ID ...".
        let heard = lab.bridge.datagrams().pop().unwrap();
        let id = String::from_utf8_lossy(&heard).split(' ').nth(1).unwrap().to_owned();
        let session = lab.bridge.sessions().into_iter().find(|session| session.id == id).unwrap();
        let own: Destination = session.destination.parse().unwrap();
        let bridge = Bridge::new(lab.bridge.address());
        let bridge = bridge.with_udp_address(lab.bridge.udp_address().parse().unwrap());
        let any = Ports { from: 0, to: 0 };
        let options = SessionOptions::default();
        let stranger = bridge.create_datagram_session(DatagramStyle::Datagram, any, &options).await.unwrap();
        stranger.send(&DatagramPeer::from(&own), any, b"theirs").await.unwrap();
        echoed(&mut child, b"mine again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_datagrams_say_no_sender_and_are_taken_and_the_port_is_carried() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("{TCP}udp = 'raw'\n");
    echoed(&mut started(lab.command(&["connect", "--udp", "echo.i2p", "6969"], &config)), b"raw");
    let heard = lab.bridge.datagrams().pop().unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains(" TO_PORT=6969"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_that_no_router_carries_is_said() {
    let lab = Lab::new(Dialect::Java).await;
    // A file is read whole, as a pipe may not be.
    let file = lab.state().join("long");
    fs::write(&file, vec![0; 31_745]).unwrap();
    let mut command = lab.command(&["connect", "--udp", "echo.i2p", "--linger", "100ms"], TCP);
    let output = command.stdin(File::open(file).unwrap()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("a datagram of 31745 bytes is too long: routers carry 31744"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_gets_what_was_asked_for_and_of_it_only_whole_datagrams_of_the_peer_are_taken() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = in_the_place_of_a_proxy(&lab).await;
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = relay.local_addr().unwrap().port();
    let mut child = started(lab.command(&["connect", "--udp", "echo.i2p", "7"], ""));
    child.stdin.as_mut().unwrap().write_all(b"ping").unwrap();
    let mut stream = greeted(&listener).await;
    let mut request = [0; 10];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    // "Every address" is the one that the proxy was reached at.
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, high, low]).await.unwrap();
    let mut datagram = [0; 100];
    let (length, client) = relay.recv_from(&mut datagram).await.unwrap();
    let header = b"\0\0\0\x03\x08echo.i2p\0\x07";
    assert_eq!(&datagram[..length], [&header[..], b"ping"].concat());
    let fragment = b"\0\0\x01\x03\x08echo.i2p\0\x07fragment";
    let of_another = b"\0\0\0\x03\x09other.i2p\0\x07another";
    for datagram in [&fragment[..], of_another, b"\0\0\0\x09", &[&header[..], b"pong"].concat()] {
        relay.send_to(datagram, client).await.unwrap();
    }
    let mut back = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    assert_eq!(&back, b"pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_to_the_listener_that_has_an_address() {
    let lab = Lab::new(Dialect::I2pd).await;
    let unix = format!("'unix:{}', ", lab.state().join("socks").display());
    let config = BOTH.replace("'127", &format!("{unix}'127"));
    let _proxy = lab.proxy(&config);
    echoed(&mut started(lab.command(&["connect", "--udp", "echo.i2p", "7"], &config)), b"over UDP");
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
    let begin = Instant::now();
    loop {
        if let Ok(stream) = peer.connect(name, 0).await {
            return stream;
        }
        assert!(begin.elapsed() < LIMIT, "nobody listens there");
        sleep(Duration::from_millis(1)).await;
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

/// How often the router was told to take a stream.
fn accepts(lab: &Lab) -> usize {
    lab.bridge.commands().iter().filter(|command| command.starts_with("STREAM ACCEPT")).count()
}

/// Until it was told so so many times.
async fn accepted(child: &mut Started, lab: &Lab, count: usize) {
    while accepts(lab) < count {
        assert!(child.try_wait().unwrap().is_none(), "it has ended, {} of {count}", accepts(lab));
        sleep(Duration::from_millis(10)).await;
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
    let before = accepts(lab);
    let mut child = started(lab.command(&["listen", "--forward", &at], config));
    let (own, mut stdout) = address(child.stdout.take().unwrap());
    let peer = peer(lab).await;
    accepted(&mut child, lab, before + 4).await;
    // So many are waited for: nobody who comes with the first is turned away.
    let call = || peer.connect(&own, 0);
    drop(tokio::try_join!(call(), call(), call(), call()).unwrap());
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
    let mut more = String::new();
    stdout.read_to_string(&mut more).unwrap();
    assert_eq!(more, "", "the address is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_peers_are_forwarded_to_a_local_port_until_interrupted() {
    let lab = Lab::new(Dialect::Java).await;
    many_streams(&lab, TCP).await;
    let _proxy = lab.proxy(BOTH);
    many_streams(&lab, BOTH).await;
}

/// A peer's stream, as the proxy gives it to whoever waits for one.
async fn given(listener: &TcpListener) -> TcpStream {
    let mut stream = greeted(listener).await;
    stream.read_exact(&mut [0; 10]).await.unwrap();
    let reply = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&[reply, reply].concat()).await.unwrap();
    stream
}

/// How a stream ends: by a reset, or in the ordinary way.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let end = timeout(LIMIT / 2, stream.read(&mut [0])).await.expect("it ends");
    match end {
        Ok(length) => {
            assert_eq!(length, 0, "there is more");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            true
        }
    }
}

/// What ends a stream that is forwarded.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Finishes,
    Breaks,
    IsKilled,
}

/// A part of a file must not look like all of it, whichever side sends it.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_on_one_side_of_a_forwarded_stream_is_reset_on_the_other() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = service.local_addr().unwrap().to_string();
    for (ends, peer_does) in [
        (Ends::Finishes, true),
        (Ends::Finishes, false),
        (Ends::Breaks, true),
        (Ends::Breaks, false),
        (Ends::IsKilled, true),
        (Ends::IsKilled, false),
    ] {
        let lab = Lab::new(Dialect::Java).await;
        let (listener, _control) = in_the_place_of_a_proxy(&lab).await;
        let mut child = started(lab.command(&["listen", "--forward", &at], ""));
        let peer = given(&listener).await;
        let (local, _) = service.accept().await.unwrap();
        let (mut from, mut to) = if peer_does { (peer, local) } else { (local, peer) };
        from.write_all(b"a part").await.unwrap();
        to.read_exact(&mut [0; 6]).await.unwrap();
        match ends {
            Ends::Finishes => drop(from),
            Ends::Breaks => {
                // Closed so, it is reset.
                socket2::SockRef::from(&from).set_linger(Some(Duration::ZERO)).unwrap();
                drop(from);
            }
            Ends::IsKilled => child.kill().unwrap(),
        }
        assert_eq!(
            is_reset(&mut to).await,
            !matches!(ends, Ends::Finishes),
            "{ends:?}, the peer: {peer_does}"
        );
    }
}

/// Nothing of it must not look like all of it either.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nothing_takes_is_reset() {
    let lab = Lab::new(Dialect::Java).await;
    // A port that is taken and not listened at.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = nobody.local_addr().unwrap().to_string();
    let (listener, _control) = in_the_place_of_a_proxy(&lab).await;
    let _child = started(lab.command(&["listen", "--forward", &at], ""));
    assert!(is_reset(&mut given(&listener).await).await);
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

/// The proxy waits for a peer for a time only.
#[tokio::test(flavor = "multi_thread")]
async fn peers_are_waited_for_again_after_the_proxys_limit() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("[limits]\nbind = '1s'\n{BOTH}");
    let _proxy = lab.proxy(&config);
    let mut child = started(lab.command(&["listen"], &config));
    let (own, _stderr) = address(child.stderr.take().unwrap());
    accepted(&mut child, &lab, 2).await;
    let peer = peer(&lab).await;
    let mut stream = stream_to(&peer, &own).await;
    stream.write_all(b"late").await.unwrap();
    let mut back = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    assert_eq!(&back, b"late");
}
