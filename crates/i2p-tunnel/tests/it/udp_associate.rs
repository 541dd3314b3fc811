//! Datagrams of clients, to I2P and back.

use std::{net::Ipv4Addr, time::Duration};

use i2p_name::Destination;
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, Ports, SessionOptions};
use i2p_tunnel::{DatagramPolicy, DropReason, Isolate};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::timeout,
};

use crate::common::{
    Proxy, binary, domain, proxy as proxy_without_udp,
    udp::{self, Client, LIMIT, Udp},
};

const EVERY_ROUTER: [Dialect; 4] = [Dialect::Java, Dialect::I2pd, Dialect::I2pdMaster, Dialect::Emissary];

async fn bridge(dialect: Dialect) -> TestBridge {
    let bridge = TestBridge::start_as(dialect).await;
    bridge.host("echo.i2p", Endpoint::Echo);
    bridge
}

async fn proxy(bridge: &TestBridge, options: Udp) -> Proxy {
    udp::proxy_with(&bridge.address(), &bridge.udp_address(), options).await
}

#[tokio::test]
async fn datagrams_go_and_come_back_on_every_router() {
    for dialect in EVERY_ROUTER {
        let bridge = bridge(dialect).await;
        let proxy = proxy(&bridge, Udp::default()).await;
        let client = Client::open(&proxy).await;
        assert_eq!(client.relay.ip(), Ipv4Addr::LOCALHOST, "where the client reached us");
        // emissary would cut off what is longer.
        let longest = if dialect == Dialect::Emissary { 7_168 } else { 31_744 };
        for length in [1, 3, 500, 4_000, longest] {
            client.echo(&vec![u8::try_from(length % 251).unwrap(); length]).await;
        }
        client.send(0, &domain("echo.i2p"), 7, &vec![0; longest + 1]).await;
        client.echo(b"still there").await;
        assert_eq!(proxy.datagram_counts.dropped(DropReason::TooLong), 1, "{dialect:?}");
    }
}

#[tokio::test]
async fn names_in_any_form_are_reached_and_come_back_as_they_were_asked_for() {
    let bridge = bridge(Dialect::Java).await;
    let destination: Destination = bridge.host("echo.i2p", Endpoint::Echo).parse().unwrap();
    let proxy = proxy(&bridge, Udp::default()).await;
    let client = Client::open(&proxy).await;
    let virtual_address = proxy.resolve("echo.i2p").await;
    assert!(virtual_address.is_ok());
    for target in [domain("ECHO.i2p."), domain("echo.i2p"), domain(&destination.b32().to_string())] {
        client.send(0, &target, 7, b"x").await;
        let header = [&target[..], &[0, 7]].concat();
        assert_eq!(client.receive(header.len()).await, (header, b"x".to_vec()));
    }
}

/// Of several names and ports of one peer, what was asked for last is what its answers have, also where the router says no ports.
#[tokio::test]
async fn answers_have_the_name_and_the_port_that_were_asked_for_last() {
    const RAW: DatagramStyle = DatagramStyle::Raw { protocol: None };
    for (dialect, style) in [
        (Dialect::Java, DatagramStyle::Datagram),
        (Dialect::I2pd, DatagramStyle::Datagram),
        (Dialect::Emissary, DatagramStyle::Datagram),
        (Dialect::Java, RAW),
        (Dialect::I2pd, RAW),
    ] {
        let bridge = bridge(dialect).await;
        let destination: Destination = bridge.host("echo.i2p", Endpoint::Echo).parse().unwrap();
        let proxy = proxy(&bridge, Udp { style, ..Udp::default() }).await;
        let client = Client::open(&proxy).await;
        let by_hash = domain(&destination.b32().to_string());
        for (target, port) in [(domain("echo.i2p"), 7), (by_hash, 9), (domain("echo.i2p"), 7)] {
            client.send(0, &target, port, b"abc").await;
            let header = [&target[..], &port.to_be_bytes()].concat();
            let (answered, data) = client.receive(header.len()).await;
            assert_eq!((answered, data), (header, b"abc".to_vec()), "{dialect:?} {style:?}");
        }
    }
}

#[tokio::test]
async fn a_virtual_address_is_a_name() {
    let bridge = bridge(Dialect::Emissary).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    // Of the same client: the same credentials.
    let mut ask = proxy.connect().await;
    let resolve =
        [&[5, 1, 2, 1, 4][..], b"user", &[1, b'x', 5, 0xf0, 0], &domain("echo.i2p"), &[0, 0]].concat();
    ask.write_all(&resolve).await.unwrap();
    let mut reply = [0; 14];
    ask.read_exact(&mut reply).await.unwrap();
    let target = &reply[7..12];
    assert_eq!((reply[5], target[0]), (0, 1), "{reply:?}");
    let client = Client::open(&proxy).await;
    client.send(0, target, 7, b"x").await;
    let header = [target, &[0, 7]].concat();
    assert_eq!(client.receive(header.len()).await, (header, b"x".to_vec()));
}

#[tokio::test]
async fn clients_do_not_see_each_others_datagrams() {
    for dialect in EVERY_ROUTER {
        let bridge = bridge(dialect).await;
        let proxy = proxy(&bridge, Udp::default()).await;
        // Three of one identity, and one of another.
        let mut clients = Vec::new();
        for user in [&b"user"[..], b"user", b"user", b"other"] {
            let address = binary(Ipv4Addr::UNSPECIFIED.into());
            clients.push(Client::ask(&proxy, user, &address, 0).await.unwrap());
        }
        for round in 0..50_u8 {
            for (number, client) in (0_u8..).zip(&clients) {
                client.send(0, &domain("echo.i2p"), 7, &[number, round]).await;
            }
            for (number, client) in (0_u8..).zip(&clients) {
                assert_eq!(client.receive(12).await.1[0], number, "{dialect:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_session_of_a_client_that_went_serves_the_next_of_the_same_key() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp { max_sessions: 1, ..Udp::default() }).await;
    let address = binary(Ipv4Addr::UNSPECIFIED.into());
    let client = Client::open(&proxy).await;
    client.echo(b"first").await;
    let sessions = bridge.sessions().len();
    assert_eq!(
        Client::ask(&proxy, b"user", &address, 0).await.err(),
        Some(1),
        "there is one, and it is in use"
    );
    drop(client);
    // Until the proxy has seen that it is gone.
    let client = loop {
        match Client::ask(&proxy, b"user", &address, 0).await {
            Ok(client) => break client,
            Err(code) => assert_eq!(code, 1),
        }
    };
    client.echo(b"second").await;
    assert_eq!(bridge.sessions().len(), sessions, "the same session");
    drop(client);
    // Somebody else gets another one, in its place.
    let other = loop {
        match Client::ask(&proxy, b"other", &address, 0).await {
            Ok(client) => break client,
            Err(code) => assert_eq!(code, 1),
        }
    };
    other.echo(b"third").await;
    assert_eq!(
        bridge.sessions().len(),
        sessions + 1,
        "streams and datagrams of another identity, for the datagrams of the first"
    );
}

/// As long as another client's end has not been seen, its session is not free.
async fn ask_until_free(proxy: &Proxy, user: &[u8]) -> Client {
    let ask = async {
        loop {
            match Client::ask(proxy, user, &binary(Ipv4Addr::UNSPECIFIED.into()), 0).await {
                Ok(client) => break client,
                Err(code) => assert_eq!(code, 1),
            }
        }
    };
    timeout(LIMIT, ask).await.expect("a session within the limit")
}

#[tokio::test]
async fn a_session_that_was_closed_comes_back_on_every_router() {
    for dialect in EVERY_ROUTER {
        let bridge = bridge(dialect).await;
        let options = Udp { max_sessions: 1, ..Udp::default() };
        let pool = options.pool();
        let (sam, sam_udp) = (bridge.address(), bridge.udp_address());
        let proxy = udp::proxy_of(&sam, &sam_udp, options, pool.clone()).await;
        let mut destinations = Vec::new();
        // Each takes the place of the one before.
        for user in [&b"user"[..], b"other", b"user", b"other", b"user"] {
            let client = ask_until_free(&proxy, user).await;
            client.echo(user).await;
            destinations.push(pool.sessions()[0].destination);
        }
        if dialect == Dialect::Emissary {
            assert_eq!((destinations[0], destinations[1]), (destinations[2], destinations[3]));
        }
    }
}

#[tokio::test]
async fn where_the_place_beside_the_streams_is_taken_datagrams_have_a_destination_of_their_own() {
    let bridge = bridge(Dialect::Emissary).await;
    let refusal = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"invalid datagram configuration\"";
    bridge.on("SESSION ADD STYLE=DATAGRAM", [Act::line(refusal)]);
    let options = Udp::default();
    let pool = options.pool();
    let proxy = udp::proxy_of(&bridge.address(), &bridge.udp_address(), options, pool.clone()).await;
    Client::open(&proxy).await.echo(b"x").await;
    assert!(!pool.sessions()[0].shares_destination);
}

#[tokio::test]
async fn the_relay_ends_with_the_tcp_connection() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    let mut client = Client::open(&proxy).await;
    client.echo(b"alive").await;
    // What is said on the connection means nothing.
    client.control.write_all(b"whatever").await.unwrap();
    client.echo(b"still alive").await;
    client.control.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.control.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    // The port is free again.
    UdpSocket::bind(client.relay).await.unwrap();
}

#[tokio::test]
async fn a_strangers_datagrams_are_ignored() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    let client = Client::open(&proxy).await;
    client.echo(b"mine").await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = [&[0, 0, 0][..], &domain("echo.i2p"), &[0, 7], b"theirs"].concat();
    stranger.send_to(&datagram, client.relay).await.unwrap();
    let elsewhere = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    elsewhere.send_to(&datagram, client.relay).await.unwrap();
    client.echo(b"and nothing else").await;
    assert_eq!(bridge.datagrams().len(), 2);
}

/// Whoever is on the same host and is quicker: what is no datagram for the relay does not say where the client is.
#[tokio::test]
async fn an_empty_packet_of_a_stranger_locks_nobody_out() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    let client = Client::open(&proxy).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [&b""[..], b"x", &[0, 0, 0, 9, 0, 0]] {
        stranger.send_to(packet, client.relay).await.unwrap();
    }
    client.echo(b"mine").await;
    assert_eq!(proxy.datagram_counts.dropped(DropReason::Malformed), 3);
}

#[tokio::test]
async fn a_client_of_ipv4_at_a_listener_of_ipv6_gets_a_relay_of_ipv4() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = udp::proxy_at("[::]:0", &bridge).await;
    let client = Client::open(&proxy).await;
    assert_eq!(client.relay.ip(), Ipv4Addr::LOCALHOST);
    client.echo(b"there and back").await;
}

#[tokio::test]
async fn socks4_has_no_datagrams() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    for request in
        [&[4, 3, 0, 7, 127, 0, 0, 1, 0][..], &[&[4, 3, 0, 7, 0, 0, 0, 1, 0], &b"echo.i2p"[..], &[0]].concat()]
    {
        let mut client = proxy.connect().await;
        client.write_all(request).await.unwrap();
        let mut reply = [0; 8];
        client.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, [0, 91, 0, 0, 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn the_address_in_the_request_is_the_clients_or_nobodys() {
    let bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    let mine = binary(Ipv4Addr::LOCALHOST.into());
    // PySocks says the name "0".
    for address in [mine.clone(), domain("0"), binary(std::net::Ipv6Addr::UNSPECIFIED.into())] {
        Client::ask(&proxy, b"user", &address, 0).await.unwrap().echo(b"x").await;
    }
    let others = binary(Ipv4Addr::new(198, 51, 100, 7).into());
    assert_eq!(Client::ask(&proxy, b"user", &others, 0).await.err(), Some(2));
    // A port that is said counts: another one is a stranger's.
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let said = other.local_addr().unwrap().port();
    let mut client = Client::ask(&proxy, b"user", &mine, said).await.unwrap();
    client.send(0, &domain("echo.i2p"), 7, b"from the wrong port").await;
    client.socket = other;
    client.echo(b"from the right one").await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_dropped_and_the_rest_goes_on() {
    let bridge = bridge(Dialect::Java).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    let counts = proxy.datagram_counts.clone();
    let client = Client::open(&proxy).await;
    let echo = domain("echo.i2p");
    let cases: [(&[u8], DropReason); 8] = [
        (b"", DropReason::Malformed),
        (&[0, 1, 0, 1, 127, 0, 0, 1, 0, 7, b'x'], DropReason::Malformed),
        (&[0, 0, 0, 9, 127, 0, 0, 1, 0, 7, b'x'], DropReason::Malformed),
        (&[0, 0, 1, 1, 127, 0, 0, 1, 0, 7, b'x'], DropReason::Fragment),
        (&[&[0, 0, 0], &echo[..], &[0, 7]].concat(), DropReason::Empty),
        (&[&[0, 0, 0], &echo[..], &[0, 7], &[0; 31_745]].concat(), DropReason::TooLong),
        (&[0, 0, 0, 1, 198, 51, 100, 7, 0, 7, b'x'], DropReason::NotAllowed),
        (&[&[0, 0, 0], &domain("example.com")[..], &[0, 53, b'x']].concat(), DropReason::NotAllowed),
    ];
    for (datagram, why) in cases {
        let before = counts.dropped(why);
        client.socket.send_to(datagram, client.relay).await.unwrap();
        client.echo(b"still there").await;
        assert_eq!(counts.dropped(why), before + 1, "{why:?}");
    }
    let bytes = 8 * b"still there".len() as u64;
    assert_eq!((counts.to_peers(), counts.to_clients()), ((8, bytes), (8, bytes)));
    client.send(0, &domain("unknown.i2p"), 7, b"x").await;
    while counts.dropped(DropReason::Unresolved) == 0 {
        client.echo(b"still there").await;
    }
}

#[tokio::test]
async fn a_slow_lookup_holds_up_nobody_else() {
    let bridge = bridge(Dialect::Java).await;
    bridge.host("slow.i2p", Endpoint::Echo);
    bridge.on("NAMING LOOKUP NAME=slow.i2p", [Act::Wait(Duration::from_millis(400)), Act::Behave]);
    let proxy = proxy(&bridge, Udp::default()).await;
    let client = Client::open(&proxy).await;
    let slow = domain("slow.i2p");
    for number in 0..12 {
        client.send(0, &slow, 7, &[number]).await;
    }
    client.echo(b"quick").await;
    // What waited arrives, in order, up to the limit.
    for number in 0..8 {
        assert_eq!(client.receive(slow.len() + 2).await.1, [number]);
    }
    assert_eq!(proxy.datagram_counts.dropped(DropReason::QueueFull), 4);
}

#[tokio::test]
async fn fragments_are_put_together_where_that_is_wanted() {
    let bridge = bridge(Dialect::I2pd).await;
    let rules = DatagramPolicy { reassemble_fragments: true, ..DatagramPolicy::default() };
    let proxy = proxy(&bridge, Udp { rules, ..Udp::default() }).await;
    let client = Client::open(&proxy).await;
    let echo = domain("echo.i2p");
    client.send(1, &echo, 7, b"one ").await;
    client.send(2, &echo, 7, b"two ").await;
    client.echo(b"whole").await;
    client.send(0x83, &echo, 7, b"three").await;
    assert_eq!(client.receive(echo.len() + 2).await.1, b"one two three");
    // One is missing.
    client.send(1, &echo, 7, b"one ").await;
    client.send(0x83, &echo, 7, b"three").await;
    client.echo(b"whole").await;
    assert_eq!(proxy.datagram_counts.dropped(DropReason::Fragment), 1);
}

#[tokio::test]
async fn a_router_that_restarts_is_waited_for() {
    let mut bridge = bridge(Dialect::I2pd).await;
    let proxy = proxy(&bridge, Udp::default()).await;
    let client = Client::open(&proxy).await;
    client.echo(b"before").await;
    bridge.kill().await;
    bridge.restart().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let mut buffer = [0; 64];
    // The destination that is remembered is another one now: by its name it is found again with a new association.
    let begin = tokio::time::Instant::now();
    loop {
        client.send(0, &domain("echo.i2p"), 7, b"after").await;
        if timeout(Duration::from_millis(50), client.socket.recv_from(&mut buffer)).await.is_ok() {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "nothing goes any more");
    }
}

#[tokio::test]
async fn without_leave_or_by_host_there_is_none() {
    let bridge = bridge(Dialect::Java).await;
    let address = binary(Ipv4Addr::UNSPECIFIED.into());
    let without = proxy_without_udp(&bridge).await;
    assert_eq!(Client::ask(&without, b"user", &address, 0).await.err(), Some(7));
    let isolate = Isolate { dest_host: true, ..Isolate::default() };
    let by_host = proxy(&bridge, Udp { isolate, ..Udp::default() }).await;
    assert_eq!(Client::ask(&by_host, b"user", &address, 0).await.err(), Some(7));
}

#[tokio::test]
async fn other_kinds_of_datagrams_go_where_the_router_has_them() {
    for (dialect, style) in [
        (Dialect::I2pdMaster, DatagramStyle::Datagram2),
        (Dialect::I2pdMaster, DatagramStyle::Datagram3),
        (Dialect::I2pdMaster, DatagramStyle::Raw { protocol: None }),
        (Dialect::I2pd, DatagramStyle::Raw { protocol: None }),
        (Dialect::Emissary, DatagramStyle::Raw { protocol: None }),
        (Dialect::Java, DatagramStyle::Raw { protocol: None }),
    ] {
        let bridge = bridge(dialect).await;
        let proxy = proxy(&bridge, Udp { style, ..Udp::default() }).await;
        let client = Client::open(&proxy).await;
        client.send(0, &domain("echo.i2p"), 7, b"there and back").await;
        assert_eq!(client.receive(12).await.1, b"there and back", "{dialect:?} {style:?}");
    }
    let address = binary(Ipv4Addr::UNSPECIFIED.into());
    for style in [DatagramStyle::Datagram2, DatagramStyle::Datagram3] {
        let bridge = bridge(Dialect::Emissary).await;
        let proxy = proxy(&bridge, Udp { style, ..Udp::default() }).await;
        assert_eq!(Client::ask(&proxy, b"user", &address, 0).await.err(), Some(7), "{style:?}");
    }
}

#[tokio::test]
async fn who_was_never_written_to_is_heard_only_where_that_is_allowed() {
    for accept_unsolicited in [false, true] {
        let bridge = bridge(Dialect::Java).await;
        let rules = DatagramPolicy { accept_unsolicited, ..DatagramPolicy::default() };
        let proxy = proxy(&bridge, Udp { rules, ..Udp::default() }).await;
        let client = Client::open(&proxy).await;
        client.echo(b"here I am").await;
        // Whom the echo got it from: the session for datagrams.
        let heard = String::from_utf8(bridge.datagrams()[0].clone()).unwrap();
        let [own] = &bridge.sessions()[..] else { panic!("one session") };
        let sam = Bridge::new(bridge.address()).with_udp_address(bridge.udp_address().parse().unwrap());
        let any = Ports { from: 9, to: 0 };
        let stranger = sam
            .create_datagram_session(DatagramStyle::Datagram, any, &SessionOptions::default())
            .await
            .unwrap();
        let port: u16 = heard.split("FROM_PORT=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let destination: Destination = own.destination.parse().unwrap();
        let ports = Ports { from: 9, to: port };
        stranger.send(&DatagramPeer::from(&destination), ports, b"hello").await.unwrap();
        if accept_unsolicited {
            let who = domain(&stranger.session().destination().b32().to_string());
            let header = [&who[..], &[0, 9]].concat();
            assert_eq!(client.receive(header.len()).await, (header, b"hello".to_vec()));
        } else {
            while proxy.datagram_counts.dropped(DropReason::Stranger) == 0 {
                client.echo(b"still there").await;
            }
        }
    }
}

#[tokio::test]
async fn whether_datagrams_share_the_address_of_streams_is_known() {
    for (dialect, shares) in [(Dialect::Java, true), (Dialect::Emissary, true), (Dialect::I2pd, false)] {
        let bridge = bridge(dialect).await;
        let udp = Udp::default();
        let pool = udp.pool();
        let proxy = udp::proxy_of(&bridge.address(), &bridge.udp_address(), udp, pool.clone()).await;
        assert_eq!(pool.sessions(), [], "nobody has asked");
        let client = Client::open(&proxy).await;
        client.echo(b"x").await;
        let [session] = &pool.sessions()[..] else { panic!("one session") };
        assert_eq!((session.shares_destination, session.in_use), (shares, true), "{dialect:?}");
        let own: Vec<Destination> =
            bridge.sessions().iter().map(|session| session.destination.parse().unwrap()).collect();
        assert_eq!(own.len(), if shares { 1 } else { 2 });
        assert_eq!(own.iter().filter(|own| own.b32() == session.destination).count(), 1);
        drop(client);
        while pool.sessions()[0].in_use {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.sessions().len(), 1, "it waits for the next client of the same key");
    }
}
