//! Datagrams, over UDP and over control connections.

use std::time::Duration;

use sam_testkit::{Dialect, TestBridge};
use tokio::{net::UdpSocket, time::timeout};

use crate::client::{Client, b32};

/// A client's UDP socket, and the `PORT` and `HOST` of a session that forwards to it.
async fn socket() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = format!("PORT={} HOST=127.0.0.1", socket.local_addr().unwrap().port());
    (socket, options)
}

async fn received(socket: &UdpSocket) -> String {
    let mut bytes = vec![0; 65_536];
    let (count, _) =
        timeout(Duration::from_secs(10), socket.recv_from(&mut bytes)).await.expect("a datagram").unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

async fn is_silent(socket: &UdpSocket) {
    let limit = Duration::from_millis(50);
    assert!(timeout(limit, socket.recv_from(&mut [0; 1])).await.is_err(), "a datagram arrived");
}

#[tokio::test]
async fn they_are_forwarded_with_the_header_of_each_router() {
    // As recorded: i2pd "<B-dest>\nPING1", emissary "<B-dest> FROM_PORT=0 TO_PORT=0\nPING0" whatever ports the sender gave.
    // Java's form is that of the specification.
    for (dialect, style, head) in [
        (Dialect::Java, "DATAGRAM", " FROM_PORT=21 TO_PORT=22\n"),
        (Dialect::I2pd259, "DATAGRAM", "\n"),
        (Dialect::I2pd259, "DATAGRAM2", "\n"),
        (Dialect::Emissary, "DATAGRAM", " FROM_PORT=0 TO_PORT=0\n"),
        (Dialect::Emissary, "DATAGRAM2", " FROM_PORT=0 TO_PORT=0\n"),
    ] {
        let bridge = TestBridge::start_as(dialect).await;
        let ((_, to_a), (b_socket, to_b)) = (socket().await, socket().await);
        let (_a, a) = Client::session(&bridge, "a", &format!("STYLE={style} {to_a}")).await;
        let (_b, b) = Client::session(&bridge, "b", &format!("STYLE={style} {to_b}")).await;
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let datagram = format!("3.3 a {b} FROM_PORT=21 TO_PORT=22\nhello\nworld");
        sender.send_to(datagram.as_bytes(), bridge.udp_address()).await.unwrap();
        assert_eq!(received(&b_socket).await, format!("{a}{head}hello\nworld"), "{dialect:?} {style}");
        assert_eq!(bridge.datagrams(), [datagram.into_bytes()]);
    }
}

/// SAM v3, "Receiving a repliable datagram", and as measured on i2pd 2.59.
#[tokio::test]
async fn the_sender_of_a_datagram3_is_named_by_its_hash() {
    for (dialect, ports) in [(Dialect::Java, " FROM_PORT=0 TO_PORT=0"), (Dialect::I2pd259, "")] {
        for (style, is_hash) in [("DATAGRAM2", false), ("DATAGRAM3", true)] {
            let bridge = TestBridge::start_as(dialect).await;
            bridge.newer_datagrams();
            let ((_, to_a), (b_socket, to_b)) = (socket().await, socket().await);
            let (_a, a) = Client::session(&bridge, "a", &format!("STYLE={style} {to_a}")).await;
            let (_b, b) = Client::session(&bridge, "b", &format!("STYLE={style} {to_b}")).await;
            b_socket.send_to(format!("3.3 a {b}\nhello").as_bytes(), bridge.udp_address()).await.unwrap();
            let hash = i2p_name::base64::encode(a.parse::<i2p_name::Destination>().unwrap().b32().hash());
            let sender = if is_hash { hash } else { a };
            assert_eq!(received(&b_socket).await, format!("{sender}{ports}\nhello"), "{dialect:?} {style}");
        }
    }
}

#[tokio::test]
async fn raw_datagrams_have_no_header_but_javas() {
    // No header: as recorded of i2pd and emissary. With a header: from the source of Java I2P.
    for (dialect, options, head) in [
        (Dialect::Java, "", ""),
        (Dialect::Java, "HEADER=true", "PROTOCOL=18 FROM_PORT=21 TO_PORT=22\n"),
        (Dialect::I2pd245, "HEADER=true", ""),
        (Dialect::Emissary, "HEADER=true", ""),
    ] {
        let bridge = TestBridge::start_as(dialect).await;
        let ((_, to_a), (b_socket, to_b)) = (socket().await, socket().await);
        let (_a, _) = Client::session(&bridge, "a", &format!("STYLE=RAW {to_a}")).await;
        let (_b, b) = Client::session(&bridge, "b", &format!("STYLE=RAW {to_b} {options}")).await;
        let datagram = format!("3.0 a {b} FROM_PORT=21 TO_PORT=22\nPING1");
        b_socket.send_to(datagram.as_bytes(), bridge.udp_address()).await.unwrap();
        assert_eq!(received(&b_socket).await, format!("{head}PING1"), "{dialect:?} {options}");
    }
}

#[tokio::test]
async fn without_a_port_they_arrive_on_the_control_connection() {
    // i2pd as recorded; Java as specified.
    for (dialect, ports) in [(Dialect::Java, " FROM_PORT=1 TO_PORT=2"), (Dialect::I2pd245, "")] {
        let bridge = TestBridge::start_as(dialect).await;
        let (mut a, from) = Client::session(&bridge, "a", "STYLE=DATAGRAM FROM_PORT=1").await;
        let (mut b, to) = Client::session(&bridge, "b", "STYLE=DATAGRAM").await;
        a.send(format!("DATAGRAM SEND DESTINATION={to} SIZE=4 TO_PORT=2\nC\nTL")).await;
        assert_eq!(b.line().await, format!("DATAGRAM RECEIVED DESTINATION={from} SIZE=4{ports}"));
        assert_eq!(&b.bytes::<4>().await, b"C\nTL");
        // The connection still takes lines.
        let answer = a.ask("NAMING LOOKUP NAME=ME").await;
        assert!(answer.ends_with(&from), "{answer}");
        let (mut c, _) = Client::session(&bridge, "c", "STYLE=RAW FROM_PORT=1").await;
        let (mut d, to) = Client::session(&bridge, "d", "STYLE=RAW").await;
        c.send(format!("RAW SEND DESTINATION={to} SIZE=3 TO_PORT=2\nCTL")).await;
        let protocol = if ports.is_empty() { "" } else { " PROTOCOL=18" };
        assert_eq!(d.line().await, format!("RAW RECEIVED SIZE=3{ports}{protocol}"));
        assert_eq!(&d.bytes::<3>().await, b"CTL");
    }
}

#[tokio::test]
async fn an_echo_sends_a_datagram_back() {
    let bridge = TestBridge::start().await;
    let (a_socket, to_a) = socket().await;
    let (_a, _) = Client::session(&bridge, "a", &format!("STYLE=DATAGRAM {to_a}")).await;
    a_socket.send_to(b"3.3 a echo.i2p FROM_PORT=5 TO_PORT=53\nhello", bridge.udp_address()).await.unwrap();
    let echo = sam_testkit::destination();
    assert_eq!(received(&a_socket).await, format!("{echo} FROM_PORT=53 TO_PORT=5\nhello"));
}

#[tokio::test]
async fn java_and_the_newer_i2pd_resolve_names() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary] {
        let bridge = TestBridge::start_as(dialect).await;
        let ((_, to_a), (b_socket, to_b)) = (socket().await, socket().await);
        let (_a, _) = Client::session(&bridge, "a", &format!("STYLE=RAW {to_a}")).await;
        let (_b, b) = Client::session(&bridge, "b", &format!("STYLE=RAW {to_b}")).await;
        b_socket.send_to(format!("3.3 a {}\ntob32", b32(&b)).as_bytes(), bridge.udp_address()).await.unwrap();
        match dialect {
            Dialect::Java | Dialect::I2pd259 => assert_eq!(received(&b_socket).await, "tob32"),
            _ => is_silent(&b_socket).await,
        }
    }
}

#[tokio::test]
async fn an_invalid_datagram_is_dropped_and_the_next_one_delivered() {
    let bridge = TestBridge::start().await;
    let ((_, to_a), (b_socket, to_b)) = (socket().await, socket().await);
    let (_a, _) = Client::session(&bridge, "a", &format!("STYLE=RAW {to_a}")).await;
    let (_b, b) = Client::session(&bridge, "b", &format!("STYLE=RAW {to_b}")).await;
    let (_s, _) = Client::session(&bridge, "s", "STYLE=STREAM").await;
    let (_d, datagrams) = Client::session(&bridge, "d", &format!("STYLE=DATAGRAM {to_b}")).await;
    for datagram in [
        "no line".to_owned(),
        format!("2.0 a {b}\nx"),
        format!("3.3 nosuch {b}\nx"),
        format!("3.3 s {b}\nx"),
        "3.3 a abcd\nx".to_owned(),
        format!("3.3 a {b}\n"),
        format!("3.3 a {b}\n{}", "x".repeat(32_769)),
        // A session of another style does not receive it.
        format!("3.3 a {datagrams}\nx"),
        format!("3.3 a {b}\nlast"),
    ] {
        b_socket.send_to(datagram.as_bytes(), bridge.udp_address()).await.unwrap();
    }
    assert_eq!(received(&b_socket).await, "last");
}

#[tokio::test]
async fn emissary_cuts_off_large_datagrams() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    let ((_, to_a), (b_socket, to_b)) = (socket().await, socket().await);
    let (_a, _) = Client::session(&bridge, "a", &format!("STYLE=RAW {to_a}")).await;
    let (_b, b) = Client::session(&bridge, "b", &format!("STYLE=RAW {to_b}")).await;
    // As measured between two routers: what exceeds 8,192 bytes of a packet to its UDP port is lost.
    let head = format!("3.3 a {b}\n");
    for (size, arrives) in [(4_000, 4_000), (10_000, 8_192 - head.len())] {
        let packet = format!("{head}{}", "x".repeat(size));
        b_socket.send_to(packet.as_bytes(), bridge.udp_address()).await.unwrap();
        assert_eq!(received(&b_socket).await.len(), arrives);
    }
}

#[tokio::test]
async fn a_subsession_receives_its_port_and_style() {
    let bridge = TestBridge::start().await;
    let (mut primary, destination) = Client::session(&bridge, "m", "STYLE=PRIMARY").await;
    let ((raw, to_raw), (web, to_web)) = (socket().await, socket().await);
    primary.ask(&format!("SESSION ADD STYLE=RAW ID=raw {to_raw}")).await;
    primary.ask(&format!("SESSION ADD STYLE=DATAGRAM ID=web {to_web} LISTEN_PORT=80")).await;
    let (_a, a) = Client::session(&bridge, "a", "STYLE=DATAGRAM").await;
    for port in [81, 80] {
        let datagram = format!("3.3 a {destination} TO_PORT={port}\nto {port}");
        web.send_to(datagram.as_bytes(), bridge.udp_address()).await.unwrap();
    }
    assert_eq!(received(&web).await, format!("{a} FROM_PORT=0 TO_PORT=80\nto 80"));
    is_silent(&raw).await;
    // A subsession can send; its primary session cannot.
    web.send_to(format!("3.3 m {a}\nno").as_bytes(), bridge.udp_address()).await.unwrap();
    web.send_to(format!("3.3 web {destination} TO_PORT=80\nown").as_bytes(), bridge.udp_address())
        .await
        .unwrap();
    assert_eq!(received(&web).await, format!("{destination} FROM_PORT=0 TO_PORT=80\nown"));
}
