//! `connect`, through the running proxy and with sessions of its own: streams, users, and refusals.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use rustix::{
    cmsg_space,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use sam_testkit::{Dialect, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{
    self,
    lab::{ALL, Lab, TCP, started, started_with},
    stand_in::{fake_proxy, greeted},
};

const SILENT: &str = "[limits]\nhalf-close = '300ms'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_through_the_running_proxy_at_any_kind_of_listener() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let unix = format!("[[tunnel]]\nlisten = ['unix:{}']\n", lab.state().join("socks").display());
    for config in [TCP, &unix] {
        let mut proxy = lab.proxy(config);
        let sessions = lab.bridge.open_sessions();
        // The far end ends the stream; stdin has ended before.
        let (code, stdout, stderr) = lab.run(&["connect", "source.i2p", "80"], config, b"");
        assert_eq!((code, stdout.as_slice()), (Some(0), &b"all there is"[..]), "{stderr}");
        // A destination in base64 is too long for SOCKS5.
        let long = lab.bridge.host("source.i2p", Endpoint::Source(b"all there is".to_vec()));
        let (code, stdout, stderr) = lab.run(&["connect", &long], config, b"");
        assert_eq!((code, stdout.as_slice()), (Some(0), &b"all there is"[..]), "{stderr}");
        assert_eq!(lab.bridge.open_sessions(), sessions, "it has none of its own");
        assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_running_proxy_a_stream_uses_its_own_session() {
    let lab = Lab::new(Dialect::I2pd245).await;
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

/// The echo of a megabyte arrives while the rest is still being sent, and the end of stdin does not cut it off.
#[tokio::test(flavor = "multi_thread")]
async fn everything_sent_is_echoed_after_the_end_of_stdin() {
    let lab = Lab::new(Dialect::Java).await;
    let megabyte: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
    let config = format!("{SILENT}{TCP}");
    // The echo waits for our FIN, which is never sent, so only a limit ends the stream. That counts as a failure.
    let check = |how: &str, says: &str| {
        let (code, stdout, stderr) = lab.run(&["connect", "echo.i2p"], &config, &megabyte);
        assert_eq!(code, Some(1), "{how}: {stderr}");
        assert!(stderr.contains(says), "{how}: {stderr}");
        assert!(stdout == megabyte, "{how}: {} bytes", stdout.len());
    };
    check("with a session of its own", "silent for 300ms after the end of stdin");
    let _proxy = lab.proxy(&config);
    check("through the proxy", "the stream broke");
}

/// After our FIN, routers end the whole stream, and the peer's remaining data would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_is_not_sent_to_the_router() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("{SILENT}{TCP}");
    // The far end would answer if it received a FIN.
    let (code, stdout, stderr) = lab.run(&["connect", "answer.i2p"], &config, b"all of it");
    assert_eq!((code, stdout.as_slice()), (Some(1), &b""[..]), "{stderr}");
    assert!(stderr.contains("did not close the stream"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_stdin_is_sent_to_the_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    // The far end reads to the end, and then answers.
    let (listener, _control) = fake_proxy(&lab).await;
    let serving = tokio::spawn(async move {
        let mut stream = greeted(&listener).await;
        let mut request = [0; 7 + 8];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request[..5], &[5, 1, 0, 3, 8]);
        // The far end's first data follows the reply in the same segment.
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'h', b'i', b' ']).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    });
    let (code, stdout, stderr) = lab.run(&["connect", "echo.i2p", "22"], "", b"until the end");
    assert_eq!((code, stdout.as_slice()), (Some(0), &b"hi until the end"[..]), "{stderr}");
    serving.await.unwrap();
}

/// A users file with one user, anna, whose password is secret.
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
async fn a_user_is_accepted_by_a_tunnel_that_requires_passwords() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let file = |name: &str, text: &str| {
        let file = lab.state().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "secret\n"), file("wrong", "Secret\n"));
    let (users, right, wrong) = (users(&lab), right.as_str(), wrong.as_str());
    let locked = format!("{ALL}auth = 'required'\nusers-file = '{}'\n", users.display());
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
        (&["--user", "anna", "--password-file", wrong][..], "does not accept this user name and password", 1),
        (&["--user", "bert", "--password-file", right], "does not accept this user name and password", 1),
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
async fn a_broken_stream_is_a_failure() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = fake_proxy(&lab).await;
    let mut child = started(lab.command(&["connect", "echo.i2p"], ""));
    let mut stream = greeted(&listener).await;
    stream.read_exact(&mut [0; 7 + 8]).await.unwrap();
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'x']).await.unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // With this option, closing resets the connection.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let Output { status, stderr, .. } = child.ended();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the stream broke"), "{stderr}");
}

/// The kernel reports a reset only once. If the write gets it, the read that follows sees an ordinary end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_while_sending_is_a_failure() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = fake_proxy(&lab).await;
    for round in 0..20 {
        let command = lab.command(&["connect", "echo.i2p"], "");
        let child = started_with(command, fs::File::open("/dev/zero").unwrap());
        let mut stream = greeted(&listener).await;
        stream.read_exact(&mut [0; 7 + 8]).await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        stream.read_exact(&mut [0; 100_000]).await.unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        let Output { status, stderr, .. } = child.ended();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "round {round}: {stderr}");
        assert!(stderr.contains("the stream broke"), "round {round}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_stdin_is_a_failure() {
    let lab = Lab::new(Dialect::Java).await;
    let command = lab.command(&["connect", "echo.i2p"], TCP);
    let directory = fs::File::open(lab.state()).unwrap();
    let Output { status, stderr, .. } = started_with(command, directory).ended();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot read stdin"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_explained() {
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
    let two = format!(
        "{two}users-file = '{}'\n[[tunnel]]\nname = 'lan'\nlisten = 'dns:127.0.0.1:0'\n",
        users.display()
    );
    check(&["connect", "nosuch.i2p"], TCP, &["in no address book. Check the spelling"], 1);
    let (code, _, stderr) = lab.run(&["connect", "example.com", "80"], TCP, b"");
    assert!(code == Some(1) && stderr.contains("Only .i2p goes to I2P"), "{stderr}");
    assert!(!stderr.contains("SAM bridge"), "no router is needed to say so: {stderr}");
    // The reason is that of a running proxy.
    check(&["connect", "localhost", "80"], TCP, &["a host of this machine or of a local network"], 1);
    let route = format!("{TCP}[[route]]\nvia = 'reject'\n");
    check(&["connect", "example.com", "80"], &route, &["a route refuses it"], 1);
    check(&["connect", "--udp", "nosuch.i2p"], TCP, &["in no address book"], 1);
    check(
        &["connect", "router.i2p"],
        TCP,
        &["no site in I2P", "are reserved, so no address book accepts them"],
        1,
    );
    check(&["connect", "no such host"], TCP, &["this host cannot be connected to"], 64);
    check(&["connect", "echo.i2p", "--linger", "1s"], TCP, &["--udp"], 64);
    check(&["connect", "echo.i2p", "--tunnel", "other"], TCP, &["no tunnel of this name"], 64);
    check(&["listen", "--forward", "example.com:22"], TCP, &["expected IP:PORT or localhost:PORT"], 64);
    let _proxy = lab.proxy(&two);
    // Both are told by the same code, one right after the other.
    for _ in 0..2 {
        let unknown = ["i2p-socks: the name is in no address book. Check the spelling", "reply 04"];
        check(&["connect", "nosuch.i2p"], TCP, &unknown, 1);
        let offline = ["i2p-socks: the destination cannot be reached. The service is offline", "reply 04"];
        check(&["connect", &offline_address()], TCP, &offline, 1);
    }
    let outside = ["i2p-socks: not an I2P name, and no route leads there. Only .i2p goes to I2P", "reply 02"];
    check(&["connect", "example.com", "80"], TCP, &outside, 1);
    check(&["connect", "--udp", "echo.i2p"], TCP, &["carries no datagrams: set udp = \"datagram\""], 1);
    check(&["connect", "--udp", "example.com"], TCP, &["outside I2P"], 1);
    check(&["listen"], TCP, &["accepts no streams from I2P: set incoming = true"], 1);
    check(&["connect", "echo.i2p", "--tunnel", "other"], TCP, &["has no tunnel called other"], 64);
    let not_socks = ["the listeners of tunnel lan are not for SOCKS clients: choose another --tunnel"];
    check(&["connect", "echo.i2p", "--tunnel", "lan"], TCP, &not_socks, 64);
    check(&["connect", "echo.i2p", "--tunnel", "locked"], TCP, &["requires a user name and a password"], 1);
}

/// The base32 address of a destination that nobody has.
fn offline_address() -> String {
    let bytes = [&[77; 384][..], &[5, 0, 4, 0, 7, 0, 4]].concat();
    i2p_name::Destination::from_bytes(bytes).unwrap().b32().to_string()
}

/// The descriptor that a command has sent over its stdout.
fn passed(near: &UnixStream) -> OwnedFd {
    let (mut byte, mut space) = ([0], [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))]);
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let read = recvmsg(near, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::empty()).unwrap();
    assert_eq!(read.bytes, 1);
    match ancillary.drain().next() {
        Some(RecvAncillaryMessage::ScmRights(mut descriptors)) => descriptors.next().unwrap(),
        _ => panic!("no descriptor"),
    }
}

/// ssh wants this with `ProxyUseFdpass`.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_itself_is_passed_to_a_program_that_wants_it() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let mut proxy = lab.proxy(TCP);
    // What the far end sends first must not be lost with the command.
    for (host, sent, expected) in [("source.i2p", "", "all there is"), ("echo.i2p", "and back", "and back")] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut command = lab.command(&["connect", "--fd-pass", host], TCP);
        let status = command.stdin(Stdio::null()).stdout(OwnedFd::from(far)).status().unwrap();
        assert_eq!(status.code(), Some(0), "{host}");
        let mut stream = TcpStream::from(passed(&near));
        stream.write_all(sent.as_bytes()).unwrap();
        let mut received = vec![0; expected.len()];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(received, expected.as_bytes(), "{host}");
    }
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_passed_is_explained() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let (code, _, stderr) = lab.run(&["connect", "--fd-pass", "source.i2p"], TCP, b"");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("--fd-pass needs one"), "{stderr}");
    let _proxy = lab.proxy(TCP);
    // Said before anything is connected.
    let (code, stdout, stderr) = lab.run(&["connect", "--fd-pass", "unknown.i2p"], TCP, b"");
    assert_eq!((code, stdout.as_slice()), (Some(64), &b""[..]), "{stderr}");
    assert!(stderr.contains("--fd-pass needs a Unix socket as stdout"), "{stderr}");
}
