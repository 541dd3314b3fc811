//! UDP ASSOCIATE: datagrams between clients and I2P.

use std::{net::Ipv4Addr, time::Duration};

use i2p_name::Destination;
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, Ports, SessionOptions};
use i2p_tunnel::{DatagramPolicy, DropReason, Isolate};
use sam_testkit::{Act, Dialect, Endpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::timeout,
};

use crate::common::{
    Proxy, binary, domain, proxy as proxy_without_udp,
    udp::{self, Client, TIMEOUT, UdpOptions, bridge, proxy},
};

const ALL_ROUTERS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];

#[tokio::test]
async fn datagrams_are_echoed_on_every_router() {
    for dialect in ALL_ROUTERS {
        let bridge = bridge(dialect).await;
        let proxy = proxy(&bridge, UdpOptions::default()).await;
        let client = Client::open(&proxy).await;
        assert_eq!(client.relay.ip(), Ipv4Addr::LOCALHOST, "the address that the client connected to");
        // emissary truncates longer datagrams.
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
async fn replies_have_the_name_in_the_form_of_the_request() {
    let bridge = bridge(Dialect::Java).await;
    let destination: Destination = bridge.host("echo.i2p", Endpoint::Echo).parse().unwrap();
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let client = Client::open(&proxy).await;
    let virtual_address = proxy.resolve("echo.i2p").await;
    assert!(virtual_address.is_ok());
    for target in [domain("ECHO.i2p."), domain("echo.i2p"), domain(&destination.b32().to_string())] {
        client.send(0, &target, 7, b"x").await;
        let header = [&target[..], &[0, 7]].concat();
        assert_eq!(client.receive(header.len()).await, (header, b"x".to_vec()));
    }
}

/// If a client uses several names and ports of one peer, replies have the latest, even if the router reports no ports.
#[tokio::test]
async fn replies_have_the_name_and_port_used_last() {
    const RAW: DatagramStyle = DatagramStyle::Raw { protocol: None };
    for (dialect, style) in [
        (Dialect::Java, DatagramStyle::Datagram),
        (Dialect::I2pd245, DatagramStyle::Datagram),
        (Dialect::Emissary, DatagramStyle::Datagram),
        (Dialect::Java, RAW),
        (Dialect::I2pd245, RAW),
    ] {
        let bridge = bridge(dialect).await;
        let destination: Destination = bridge.host("echo.i2p", Endpoint::Echo).parse().unwrap();
        let proxy = proxy(&bridge, UdpOptions { style, ..UdpOptions::default() }).await;
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
async fn datagrams_to_a_virtual_address_reach_its_name() {
    let bridge = bridge(Dialect::Emissary).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    // The same client, identified by its credentials.
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
async fn clients_do_not_receive_each_others_datagrams() {
    for dialect in ALL_ROUTERS {
        let bridge = bridge(dialect).await;
        let proxy = proxy(&bridge, UdpOptions::default()).await;
        // Three clients with one identity, and one with another.
        let mut clients = Vec::new();
        for user in [&b"user"[..], b"user", b"user", b"other"] {
            let address = binary(Ipv4Addr::UNSPECIFIED.into());
            clients.push(Client::associate(&proxy, user, &address, 0).await.unwrap());
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
async fn a_session_is_reused_by_the_next_client_with_the_same_key() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions { max_sessions: 1, ..UdpOptions::default() }).await;
    let address = binary(Ipv4Addr::UNSPECIFIED.into());
    let client = Client::open(&proxy).await;
    client.echo(b"first").await;
    let sessions = bridge.sessions().len();
    assert_eq!(
        Client::associate(&proxy, b"user", &address, 0).await.err(),
        Some(1),
        "the only session is in use"
    );
    drop(client);
    // Retry until the proxy has noticed that the client left.
    let client = loop {
        match Client::associate(&proxy, b"user", &address, 0).await {
            Ok(client) => break client,
            Err(code) => assert_eq!(code, 1),
        }
    };
    client.echo(b"second").await;
    assert_eq!(bridge.sessions().len(), sessions, "the same session");
    drop(client);
    // A client with another key gets a new session, which replaces it.
    let other = loop {
        match Client::associate(&proxy, b"other", &address, 0).await {
            Ok(client) => break client,
            Err(code) => assert_eq!(code, 1),
        }
    };
    other.echo(b"third").await;
    assert_eq!(
        bridge.sessions().len(),
        sessions + 1,
        "streams and datagrams of another identity replace the datagrams of the first"
    );
}

/// Retries until the proxy has noticed that the previous client left.
async fn associate_until_free(proxy: &Proxy, user: &[u8]) -> Client {
    let ask = async {
        loop {
            match Client::associate(proxy, user, &binary(Ipv4Addr::UNSPECIFIED.into()), 0).await {
                Ok(client) => break client,
                Err(code) => assert_eq!(code, 1),
            }
        }
    };
    timeout(TIMEOUT, ask).await.expect("a session within the limit")
}

#[tokio::test]
async fn a_closed_session_can_be_reopened_on_every_router() {
    for dialect in ALL_ROUTERS {
        let bridge = bridge(dialect).await;
        let options = UdpOptions { max_sessions: 1, ..UdpOptions::default() };
        let pool = options.pool();
        let (sam, sam_udp) = (bridge.address(), bridge.udp_address());
        let proxy = udp::proxy_of(&sam, &sam_udp, options, pool.clone()).await;
        let mut destinations = Vec::new();
        // Each client's session replaces the previous one.
        for user in [&b"user"[..], b"other", b"user", b"other", b"user"] {
            let client = associate_until_free(&proxy, user).await;
            client.echo(user).await;
            destinations.push(pool.sessions()[0].destination);
        }
        if dialect == Dialect::Emissary {
            assert_eq!((destinations[0], destinations[1]), (destinations[2], destinations[3]));
        }
    }
}

#[tokio::test]
async fn unused_sessions_make_way_for_a_lower_number() {
    let bridge = bridge(Dialect::I2pd245).await;
    let options = UdpOptions::default();
    let pool = options.pool();
    let proxy = udp::proxy_of(&bridge.address(), &bridge.udp_address(), options, pool.clone()).await;
    let mut clients = Vec::new();
    for user in [&b"a"[..], b"b", b"c"] {
        clients.push(associate_until_free(&proxy, user).await);
    }
    let unused = || pool.sessions().iter().filter(|session| !session.in_use).count();
    let until = async |what: &str, condition: &dyn Fn() -> bool| {
        let met = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, met).await.unwrap_or_else(|_| panic!("never: {what}"));
    };
    drop(clients.pop());
    until("one is unused", &|| unused() == 1).await;
    pool.reconfigure(UdpOptions { max_sessions: 1, ..UdpOptions::default() }.datagrams());
    until("it is closed", &|| pool.sessions().len() == 2).await;
    clients[0].echo(b"in use").await;
    drop(clients.pop());
    until("the next one is closed when it is unused", &|| pool.sessions().len() == 1).await;
    drop(clients);
    until("the last one is kept", &|| unused() == 1).await;
}

#[tokio::test]
async fn if_the_streams_destination_is_taken_datagrams_get_their_own() {
    let bridge = bridge(Dialect::Emissary).await;
    let refusal = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"invalid datagram configuration\"";
    bridge.on("SESSION ADD STYLE=DATAGRAM", [Act::line(refusal)]);
    let options = UdpOptions::default();
    let pool = options.pool();
    let proxy = udp::proxy_of(&bridge.address(), &bridge.udp_address(), options, pool.clone()).await;
    Client::open(&proxy).await.echo(b"x").await;
    assert!(!pool.sessions()[0].shares_destination);
}

#[tokio::test]
async fn the_relay_ends_with_the_tcp_connection() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let mut client = Client::open(&proxy).await;
    client.echo(b"alive").await;
    // Data on the control connection is ignored.
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
async fn an_ipv4_client_at_an_ipv6_listener_gets_an_ipv4_relay() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = udp::proxy_at("[::]:0", &bridge).await;
    let client = Client::open(&proxy).await;
    assert_eq!(client.relay.ip(), Ipv4Addr::LOCALHOST);
    client.echo(b"there and back").await;
}

#[tokio::test]
async fn socks4_has_no_datagrams() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
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
async fn datagrams_that_cannot_be_sent_are_dropped_and_others_continue() {
    let bridge = bridge(Dialect::Java).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
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
    for (datagram, reason) in cases {
        let before = counts.dropped(reason);
        client.socket.send_to(datagram, client.relay).await.unwrap();
        client.echo(b"still there").await;
        assert_eq!(counts.dropped(reason), before + 1, "{reason:?}");
    }
    let bytes = 8 * b"still there".len() as u64;
    assert_eq!((counts.to_peers(), counts.to_clients()), ((8, bytes), (8, bytes)));
    client.send(0, &domain("unknown.i2p"), 7, b"x").await;
    while counts.dropped(DropReason::Unresolved) == 0 {
        client.echo(b"still there").await;
    }
}

#[tokio::test]
async fn a_slow_lookup_does_not_delay_other_datagrams() {
    let bridge = bridge(Dialect::Java).await;
    bridge.host("slow.i2p", Endpoint::Echo);
    bridge.on("NAMING LOOKUP NAME=slow.i2p", [Act::Wait(Duration::from_millis(400)), Act::Behave]);
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let client = Client::open(&proxy).await;
    let slow = domain("slow.i2p");
    for number in 0..12 {
        client.send(0, &slow, 7, &[number]).await;
    }
    client.echo(b"quick").await;
    // Datagrams that waited arrive in order, up to the limit.
    for number in 0..8 {
        assert_eq!(client.receive(slow.len() + 2).await.1, [number]);
    }
    assert_eq!(proxy.datagram_counts.dropped(DropReason::QueueFull), 4);
}

#[tokio::test]
async fn fragments_are_reassembled_if_enabled() {
    let bridge = bridge(Dialect::I2pd245).await;
    let rules = DatagramPolicy { reassemble_fragments: true, ..DatagramPolicy::default() };
    let proxy = proxy(&bridge, UdpOptions { rules, ..UdpOptions::default() }).await;
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
async fn datagrams_continue_after_the_router_restarts() {
    let mut bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let client = Client::open(&proxy).await;
    client.echo(b"before").await;
    bridge.kill().await;
    bridge.restart().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let mut buffer = [0; 64];
    // The echo service has another destination now, so the name has to be looked up again.
    let begin = tokio::time::Instant::now();
    loop {
        client.send(0, &domain("echo.i2p"), 7, b"after").await;
        if timeout(Duration::from_millis(50), client.socket.recv_from(&mut buffer)).await.is_ok() {
            return;
        }
        assert!(begin.elapsed() < TIMEOUT, "datagrams do not pass any more");
    }
}

#[tokio::test]
async fn udp_is_refused_unless_enabled_and_if_isolated_by_host() {
    let bridge = bridge(Dialect::Java).await;
    let address = binary(Ipv4Addr::UNSPECIFIED.into());
    let without = proxy_without_udp(&bridge).await;
    assert_eq!(Client::associate(&without, b"user", &address, 0).await.err(), Some(7));
    let isolate = Isolate { dest_host: true, ..Isolate::default() };
    let by_host = proxy(&bridge, UdpOptions { isolate, ..UdpOptions::default() }).await;
    assert_eq!(Client::associate(&by_host, b"user", &address, 0).await.err(), Some(7));
}

#[tokio::test]
async fn other_datagram_styles_work_if_the_router_supports_them() {
    for (dialect, style) in [
        (Dialect::I2pd259, DatagramStyle::Datagram2),
        (Dialect::I2pd259, DatagramStyle::Datagram3),
        (Dialect::I2pd259, DatagramStyle::Raw { protocol: None }),
        (Dialect::I2pd245, DatagramStyle::Raw { protocol: None }),
        (Dialect::Emissary, DatagramStyle::Raw { protocol: None }),
        (Dialect::Java, DatagramStyle::Raw { protocol: None }),
    ] {
        let bridge = bridge(dialect).await;
        let proxy = proxy(&bridge, UdpOptions { style, ..UdpOptions::default() }).await;
        let client = Client::open(&proxy).await;
        client.send(0, &domain("echo.i2p"), 7, b"there and back").await;
        assert_eq!(client.receive(12).await.1, b"there and back", "{dialect:?} {style:?}");
    }
    let address = binary(Ipv4Addr::UNSPECIFIED.into());
    for style in [DatagramStyle::Datagram2, DatagramStyle::Datagram3] {
        let bridge = bridge(Dialect::Emissary).await;
        let proxy = proxy(&bridge, UdpOptions { style, ..UdpOptions::default() }).await;
        assert_eq!(Client::associate(&proxy, b"user", &address, 0).await.err(), Some(7), "{style:?}");
    }
}

#[tokio::test]
async fn unsolicited_datagrams_are_delivered_only_if_allowed() {
    for accept_unsolicited in [false, true] {
        let bridge = bridge(Dialect::Java).await;
        let rules = DatagramPolicy { accept_unsolicited, ..DatagramPolicy::default() };
        let proxy = proxy(&bridge, UdpOptions { rules, ..UdpOptions::default() }).await;
        let client = Client::open(&proxy).await;
        client.echo(b"here I am").await;
        // The sender that the echo service saw: the session for datagrams.
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
async fn the_status_tells_whether_datagrams_share_the_destination_of_streams() {
    for (dialect, shares) in [(Dialect::Java, true), (Dialect::Emissary, true), (Dialect::I2pd245, false)] {
        let bridge = bridge(dialect).await;
        let udp = UdpOptions::default();
        let pool = udp.pool();
        let proxy = udp::proxy_of(&bridge.address(), &bridge.udp_address(), udp, pool.clone()).await;
        assert_eq!(pool.sessions(), [], "no client has asked yet");
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
        assert_eq!(pool.sessions().len(), 1, "the session waits for the next client with the same key");
    }
}
