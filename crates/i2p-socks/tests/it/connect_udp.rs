//! `connect --udp`: datagrams, through the running proxy and with sessions of its own.
#![cfg(unix)]

use std::{
    fs::{self, File},
    io::{Read, Write},
    process::Output,
};

use i2p_name::Destination;
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, Ports, SessionOptions};
use sam_testkit::{Dialect, Endpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use crate::common::{
    lab::{ALL, Lab, Started, TCP, started},
    stand_in::{fake_proxy, greeted},
};

/// Each write is one datagram, and so is each echo. A pipe may join writes, so each waits for the previous echo.
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
    // Datagrams that arrive after the end of stdin are still printed.
    let words = ["connect", "--udp", "echo.i2p", "--linger", "2s"];
    let (code, stdout, stderr) = lab.run(&words, config, b"late");
    assert_eq!((code, stdout.as_slice()), (Some(0), &b"late"[..]), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_through_the_running_proxy() {
    let lab = Lab::new(Dialect::Java).await;
    let _proxy = lab.proxy(ALL);
    let sessions = lab.bridge.accepted_connections();
    datagrams(&lab, ALL);
    let (code, _, stderr) = lab.run(&["connect", "--udp", "echo.i2p", "--tunnel", "none"], ALL, b"");
    assert_eq!(code, Some(64), "{stderr}");
    assert!(lab.bridge.accepted_connections() > sessions, "they went over the bridge");
    let sends = lab.bridge.datagrams().len();
    assert_eq!(sends, 3 * 4 + 1, "one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_running_proxy_datagrams_use_their_own_session() {
    let lab = Lab::new(Dialect::I2pd245).await;
    datagrams(&lab, TCP);
    assert_eq!(lab.bridge.datagrams().len(), 3 * 4 + 1, "one each");
}

/// Sends a datagram and waits for its echo.
fn echoed(child: &mut Started, data: &[u8]) {
    child.stdin.as_mut().unwrap().write_all(data).unwrap();
    let mut back = vec![0; data.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(data));
}

async fn only_datagrams_of_the_peer_are_printed(style: DatagramStyle, config: &str, dialect: Dialect) {
    for runs in [false, true] {
        let lab = Lab::new(dialect).await;
        lab.bridge.newer_datagrams();
        let _proxy = runs.then(|| lab.proxy(config));
        let mut child = started(lab.command(&["connect", "--udp", "echo.i2p", "7"], config));
        echoed(&mut child, b"mine");
        // The sender as the echo sees it: "3.0 ID ..." or "3.2 ID ... FROM_PORT=...".
        let heard = lab.bridge.datagrams().pop().unwrap();
        let heard = String::from_utf8_lossy(&heard);
        let id = heard.split(' ').nth(1).unwrap();
        let port = heard
            .split("FROM_PORT=")
            .nth(1)
            .map_or(0, |rest| rest.split(' ').next().unwrap().parse().unwrap());
        // A subsession has the destination of its session, and only one session is open.
        let sessions = lab.bridge.sessions();
        let own = sessions.iter().find(|session| session.id == id).unwrap_or(&sessions[0]);
        let own: Destination = own.destination.parse().unwrap();
        let bridge = Bridge::new(lab.bridge.address());
        let bridge = bridge.with_udp_address(lab.bridge.udp_address().parse().unwrap());
        let (any, options) = (Ports { from: 0, to: 0 }, SessionOptions::default());
        let stranger = bridge.create_datagram_session(style, any, &options).await.unwrap();
        stranger.send(&DatagramPeer::from(&own), Ports { from: 7, to: port }, b"theirs").await.unwrap();
        echoed(&mut child, b"mine again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_others_are_not_printed() {
    only_datagrams_of_the_peer_are_printed(DatagramStyle::Datagram, ALL, Dialect::I2pd245).await;
}

/// DATAGRAM3 carries only the hash of the sender.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_known_by_its_hash() {
    let config = ALL.replace("'datagram'", "'datagram3'");
    only_datagrams_of_the_peer_are_printed(DatagramStyle::Datagram3, &config, Dialect::Java).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_datagrams_are_printed_without_a_sender_and_carry_the_port() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("{TCP}udp = 'raw'\n");
    echoed(&mut started(lab.command(&["connect", "--udp", "echo.i2p", "6969"], &config)), b"raw");
    let heard = lab.bridge.datagrams().pop().unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains(" TO_PORT=6969"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_too_large_for_routers_is_reported() {
    let lab = Lab::new(Dialect::Java).await;
    // A read returns the whole file, which a pipe does not guarantee.
    let file = lab.state().join("long");
    fs::write(&file, vec![0; 31_745]).unwrap();
    let mut command = lab.command(&["connect", "--udp", "echo.i2p", "--linger", "100ms"], TCP);
    let output = command.stdin(File::open(file).unwrap()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("a datagram of 31745 bytes is too long: routers carry at most 31744"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_asked_for_the_target_and_only_its_whole_datagrams_are_printed() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = fake_proxy(&lab).await;
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = relay.local_addr().unwrap().port();
    let mut child = started(lab.command(&["connect", "--udp", "echo.i2p", "7"], ""));
    child.stdin.as_mut().unwrap().write_all(b"ping").unwrap();
    let mut stream = greeted(&listener).await;
    let mut request = [0; 10];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    // The unspecified address stands for the address at which the client reached the proxy.
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
    let lab = Lab::new(Dialect::I2pd245).await;
    let unix = format!("'unix:{}', ", lab.state().join("socks").display());
    let config = ALL.replace("'127", &format!("{unix}'127"));
    let _proxy = lab.proxy(&config);
    echoed(&mut started(lab.command(&["connect", "--udp", "echo.i2p", "7"], &config)), b"over UDP");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_through_the_first_tunnel_that_carries_them() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let (first, second) = (format!("{TCP}name = 'first'\n"), format!("{ALL}name = 'second'\n"));
    let both = format!("{first}{second}");
    let words = ["connect", "--udp", "echo.i2p", "7"];
    let mut proxy = lab.proxy(&both);
    echoed(&mut started(lab.command(&words, &both)), b"by the second");
    proxy.signal("KILL");
    drop(proxy);
    let neither = format!("{first}{TCP}name = 'second'\n");
    let _proxy = lab.proxy(&neither);
    let (code, _, stderr) = lab.run(&words, &neither, b"");
    assert_eq!(code, Some(1), "{stderr}");
    let says = "tunnel first carries no datagrams: set udp = \"datagram\" in its [[tunnel]]";
    assert!(stderr.contains(says), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_ends_when_the_proxy_ends() {
    let lab = Lab::new(Dialect::Java).await;
    let mut proxy = lab.proxy(ALL);
    let mut child = started(lab.command(&["connect", "--udp", "echo.i2p"], ALL));
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    proxy.signal("KILL");
    let stdin = child.stdin.take();
    let Output { status, stderr, .. } = child.ended();
    drop(stdin);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the proxy has ended, so datagrams can no longer be sent"), "{stderr}");
}
