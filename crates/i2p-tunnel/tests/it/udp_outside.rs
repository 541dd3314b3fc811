//! Datagrams to hosts outside I2P go to an outproxy with UDP ASSOCIATE if a route leads to one, and are dropped otherwise.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use i2p_name::{I2pName, VirtualOptions};
use i2p_tunnel::{DropReason, OutproxyAt, OutproxyCredentials, OutproxyDefinition, OutproxyProtocol, Route};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout},
};

use crate::common::{
    self, Proxy, binary, domain,
    exit::{all_via, route},
    udp::{self, Client, TIMEOUT, UdpOptions},
    upstream::{Behaviour, Upstream},
};

async fn bridge() -> TestBridge {
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    bridge.host("echo.i2p", Endpoint::Echo);
    bridge
}

async fn proxy(bridge: &TestBridge, routes: Vec<Route>, outproxies: Vec<OutproxyDefinition>) -> Proxy {
    let options = UdpOptions { routes, outproxies, ..UdpOptions::default() };
    udp::proxy_with(&bridge.address(), &bridge.udp_address(), options).await
}

/// Sends a datagram and waits for its echo from the same host.
async fn there_and_back(client: &Client, target: &[u8], port: u16, data: &[u8]) {
    client.send(0, target, port, data).await;
    let header = [target, &port.to_be_bytes()].concat();
    assert_eq!(client.receive(header.len()).await, (header, data.to_vec()));
}

/// Sends until a datagram is echoed: while an outproxy is set aside, they are dropped.
async fn there_and_back_eventually(client: &Client, target: &[u8], port: u16) {
    let begin = Instant::now();
    let mut buffer = [0; 512];
    loop {
        client.send(0, target, port, b"again").await;
        let back = timeout(Duration::from_millis(50), client.socket.recv_from(&mut buffer)).await;
        if let Ok(Ok((length, _))) = back {
            return assert!(buffer[..length].ends_with(b"again"));
        }
        assert!(begin.elapsed() < TIMEOUT, "no datagram is echoed any more");
    }
}

/// Waits until `count` datagrams were dropped for this reason.
async fn dropped(proxy: &Proxy, reason: DropReason, count: u64) {
    let begin = Instant::now();
    while proxy.datagram_counts.dropped(reason) < count {
        assert!(begin.elapsed() < TIMEOUT, "{reason:?}: {}", proxy.datagram_counts.dropped(reason));
        tokio::task::yield_now().await;
    }
    assert_eq!(proxy.datagram_counts.dropped(reason), count, "{reason:?}");
}

#[tokio::test]
async fn datagrams_follow_the_routes() {
    let bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Echo).await;
    let routes = vec![route("refused.example", "1-65535", &[]), route("*", "53", &["upstream"])];
    let proxy = proxy(&bridge, routes, vec![upstream.definition()]).await;
    let client = Client::open(&proxy).await;
    assert_eq!(upstream.seen().associations.len(), 0, "not before a datagram needs it");
    for round in 0..10 {
        there_and_back(&client, &domain("name.example"), 53, &[round]).await;
        there_and_back(&client, &binary([198, 51, 100, 7].into()), 53, &[round]).await;
        client.echo(b"and I2P at the same time").await;
    }
    // An empty datagram is valid in UDP; and one that is longer than SAM can carry.
    there_and_back(&client, &domain("name.example"), 53, b"").await;
    there_and_back(&client, &domain("name.example"), 53, &[7; 60_000]).await;
    let seen = upstream.seen();
    assert_eq!(seen.associations.len(), 1, "one association for all datagrams");
    assert_eq!(seen.datagrams[0], ("name name.example".into(), 53, vec![0]), "the far end resolves it");
    assert_eq!(seen.datagrams[1], ("198.51.100.7".into(), 53, vec![0]));
    assert_eq!(seen.datagrams.len(), 22);
    // Another port, a rejected host, and a local host.
    let refused = [(domain("name.example"), 54), (domain("refused.example"), 53), (domain("localhost"), 53)];
    for (target, port) in &refused {
        client.send(0, target, *port, b"x").await;
    }
    client.send(0, &binary([127, 0, 0, 1].into()), 53, b"x").await;
    client.echo(b"done").await;
    assert_eq!(proxy.datagram_counts.dropped(DropReason::NotAllowed), 4);
    assert_eq!(upstream.seen().datagrams.len(), 22);
    let bytes = 10 * (1 + 1 + 24) + 60_000 + 4;
    assert_eq!(proxy.datagram_counts.to_peers(), (33, bytes));
    assert_eq!(proxy.datagram_counts.to_clients(), (33, bytes));
}

#[tokio::test]
async fn answers_of_an_outproxy_follow_the_client_to_a_new_port() {
    let bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Echo).await;
    let proxy = proxy(&bridge, all_via(&["upstream"]), vec![upstream.definition()]).await;
    let mut client = Client::open(&proxy).await;
    let target = binary(Ipv4Addr::new(198, 51, 100, 7).into());
    there_and_back(&client, &target, 53, b"from the first port").await;
    client.socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    there_and_back(&client, &target, 53, b"from the second port").await;
}

#[tokio::test]
async fn datagrams_to_i2p_never_reach_an_outproxy() {
    let bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Echo).await;
    // Even if a route names the range of virtual addresses.
    let mut routes =
        vec![route("250.0.0.0/8", "1-65535", &["upstream"]), route("fc00::/7", "1-65535", &["upstream"])];
    routes.extend(all_via(&["upstream"]));
    let proxy = proxy(&bridge, routes, vec![upstream.definition()]).await;
    let client = Client::open(&proxy).await;
    let virtual_address = proxy.resolve("echo.i2p").await.unwrap();
    for target in [
        domain("unknown.i2p"),
        domain("UNKNOWN.I2P"),
        domain("unknown.i2p."),
        domain("unknown.i2p.."),
        domain("unknown.i2p.alt"),
        domain("unknown\u{3002}i2p"),
        domain("unknown.\u{ff49}2p"),
        domain("unknown.i2\u{ff50}"),
        domain("i2p"),
        domain(".i2p"),
        domain("a b.i2p"),
        domain("unknown.i2p\0"),
        domain(&common::b32()),
        domain("2130706433"),
        domain("0x7f.1"),
        // Another client's virtual address.
        binary(virtual_address),
        binary("::ffff:250.0.0.1".parse().unwrap()),
        binary("fd91:cbed:4d7e::1".parse().unwrap()),
        domain(&virtual_address.to_string()),
    ] {
        client.send(0, &target, 53, b"secret").await;
        there_and_back(&client, &domain("name.example"), 53, b"next").await;
    }
    assert!(upstream.seen().datagrams.iter().all(|(host, _, _)| host == "name name.example"));
}

#[tokio::test]
async fn an_outproxy_can_isolate_clients_without_learning_who_they_are() {
    let bridge = bridge().await;
    let (upstream, login) = (
        Upstream::start("upstream", Behaviour::EchoAnywhere).await,
        Upstream::start("login", Behaviour::Echo).await,
    );
    let credentials = OutproxyCredentials { username: "me".into(), password: "pass".to_owned().into() };
    let with_login = OutproxyDefinition { credentials: Some(credentials), ..login.definition() };
    let routes = vec![route("*", "1", &["upstream"]), route("*", "2", &["login"])];
    let proxy = proxy(&bridge, routes, vec![upstream.definition(), with_login]).await;
    let anywhere = binary(Ipv4Addr::UNSPECIFIED.into());
    for user in [&b"one"[..], b"two", b"one"] {
        let client = Client::associate(&proxy, user, &anywhere, 0).await.unwrap();
        there_and_back(&client, &domain("name.example"), 1, b"x").await;
        there_and_back(&client, &domain("name.example"), 2, b"x").await;
        drop(client);
        // The association ends with the client.
        upstream.until(|seen| seen.alive == 0).await;
        login.until(|seen| seen.alive == 0).await;
    }
    let seen = upstream.seen().associations;
    let [Some(one), Some(two), Some(again)] = &seen[..] else { panic!("{seen:?}") };
    assert!(one == again && one != two, "{seen:?}");
    assert!(!format!("{seen:?}").contains("\"one\""), "{seen:?}");
    assert_eq!(login.seen().associations, vec![Some(("me".into(), "pass".into())); 3]);
}

#[tokio::test]
async fn forged_datagrams_of_an_outproxy_do_not_reach_the_client() {
    let bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Echo).await;
    let named: IpAddr = [198, 51, 100, 99].into();
    let map = [(named, I2pName::parse("echo.i2p").unwrap().into())].into();
    let options = UdpOptions {
        routes: all_via(&["upstream"]),
        outproxies: vec![upstream.definition()],
        addresses: VirtualOptions { map, ..VirtualOptions::default() },
        ..UdpOptions::default()
    };
    let proxy = udp::proxy_with(&bridge.address(), &bridge.udp_address(), options).await;
    let client = Client::open(&proxy).await;
    there_and_back(&client, &domain("name.example"), 53, b"x").await;
    let says = |target: &[u8]| [&[0, 0, 0][..], target, &[0, 53], b"secret"].concat();
    let garbage = vec![
        Vec::new(),
        vec![0; 3],
        vec![255; 1_000],
        [0, 0, 0, 3, 255, b'a'].to_vec(),
        [&[0, 0, 1][..], &domain("name.example"), &[0, 53, 1]].concat(),
        says(&domain("echo.i2p")),
        says(&domain("ECHO.i2p.")),
        says(&domain(&common::b32())),
        says(&domain("echo\u{3002}i2p")),
        // Addresses that stand for I2P names, or could.
        says(&binary([250, 0, 0, 1].into())),
        says(&domain("250.0.0.1")),
        says(&binary("::ffff:250.0.0.1".parse().unwrap())),
        says(&binary("fd91:cbed:4d7e::1".parse().unwrap())),
        says(&binary(named)),
    ];
    let count = garbage.len() as u64;
    upstream.set_behaviour(Behaviour::Say(garbage));
    there_and_back(&client, &domain("name.example"), 53, b"what follows").await;
    assert_eq!(proxy.datagram_counts.dropped(DropReason::OutproxyReply), count);
    // From senders other than the relay.
    let (ours, _) = upstream.seen().between[0];
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let forged = says(&domain("name.example"));
    stranger.send_to(&forged, ours).await.unwrap();
    let elsewhere = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    elsewhere.send_to(&forged, ours).await.unwrap();
    upstream.set_behaviour(Behaviour::Echo);
    there_and_back(&client, &domain("name.example"), 53, b"and nothing else").await;
    // Any other address is accepted as the outproxy reports it.
    upstream.set_behaviour(Behaviour::Say(vec![says(&binary([203, 0, 113, 7].into()))]));
    client.send(0, &domain("name.example"), 53, b"x").await;
    assert_eq!(client.receive(7).await.1, b"secret");
}

#[tokio::test]
async fn an_outproxy_without_udp_is_skipped_without_blame() {
    let bridge = bridge().await;
    let first = Upstream::start("first", Behaviour::Refuse(7)).await;
    let second = Upstream::start("second", Behaviour::Echo).await;
    let definitions = vec![first.definition(), second.definition()];
    let proxy = proxy(&bridge, all_via(&["first", "second"]), definitions).await;
    let client = Client::open(&proxy).await;
    client.send(0, &domain("name.example"), 53, b"by the first").await;
    dropped(&proxy, DropReason::OutproxyFailed, 1).await;
    there_and_back(&client, &domain("name.example"), 53, b"by the second").await;
    first.set_behaviour(Behaviour::Echo);
    let begin = Instant::now();
    // Longer than the first is set aside: the peer keeps seeing one sender.
    while begin.elapsed() < Duration::from_millis(1_300) {
        there_and_back(&client, &domain("name.example"), 53, b"still by the second").await;
    }
    assert_eq!((first.seen().datagrams.len(), first.seen().associations.len()), (0, 1));
    // Once the second fails, the first is tried again.
    second.set_behaviour(Behaviour::Close);
    there_and_back_eventually(&client, &domain("name.example"), 53).await;
    assert_eq!(first.seen().associations.len(), 2);
}

#[tokio::test]
async fn an_outproxy_that_fails_is_set_aside_for_a_while_and_tried_again() {
    let bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Refuse(2)).await;
    let proxy = proxy(&bridge, all_via(&["upstream"]), vec![upstream.definition()]).await;
    let client = Client::open(&proxy).await;
    for (behaviour, count) in [
        (Behaviour::Refuse(2), 1),
        // A relay at another address than the outproxy's: sending there would expose this machine to a third party.
        (Behaviour::Elsewhere([203, 0, 113, 7].into()), 2),
    ] {
        upstream.set_behaviour(behaviour);
        let before = proxy.datagram_counts.dropped(DropReason::OutproxyFailed);
        while upstream.seen().associations.len() < count {
            client.send(0, &domain("name.example"), 53, b"x").await;
            client.echo(b"I2P continues").await;
        }
        upstream.until(|seen| seen.alive == 0).await;
        let lost = before + 1;
        while proxy.datagram_counts.dropped(DropReason::OutproxyFailed) < lost {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            client.send(0, &domain("name.example"), 53, b"while set aside").await;
        }
        client.echo(b"I2P continues").await;
        assert_eq!(upstream.seen().associations.len(), count, "it is not tried for each datagram");
    }
    upstream.set_behaviour(Behaviour::Echo);
    there_and_back_eventually(&client, &domain("name.example"), 53).await;
    // The outproxy closes the control connection.
    upstream.set_behaviour(Behaviour::Close);
    client.send(0, &domain("name.example"), 53, b"x").await;
    upstream.until(|seen| seen.alive == 0).await;
    upstream.set_behaviour(Behaviour::Echo);
    there_and_back_eventually(&client, &domain("name.example"), 53).await;
    assert_eq!(upstream.seen().associations.len(), 4);
}

#[tokio::test]
async fn the_queue_for_an_outproxy_is_bounded() {
    let bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Silent).await;
    let proxy = proxy(&bridge, all_via(&["upstream"]), vec![upstream.definition()]).await;
    let client = Client::open(&proxy).await;
    client.send(0, &domain("name.example"), 53, b"first").await;
    upstream.until(|seen| seen.alive == 1).await;
    // One datagram is being sent, and 64 can wait behind it.
    for _ in 0..80 {
        client.send(0, &domain("name.example"), 53, b"x").await;
    }
    client.echo(b"I2P continues").await;
    dropped(&proxy, DropReason::QueueFull, 16).await;
    // For another client, by bytes.
    let client = Client::open(&proxy).await;
    for _ in 0..8 {
        client.send(0, &domain("name.example"), 53, &[0; 60_000]).await;
        client.echo(b"I2P continues").await;
    }
    dropped(&proxy, DropReason::QueueFull, 16 + 4).await;
}

#[tokio::test]
async fn outproxies_that_cannot_carry_datagrams_are_not_tried() {
    let bridge = bridge().await;
    bridge.on("STREAM CONNECT", [Act::Dial]);
    let upstream = Upstream::start("upstream", Behaviour::Echo).await;
    let by = |at, protocol| OutproxyDefinition { at, protocol, ..upstream.definition() };
    let tcp = upstream.definition().at;
    let i2p = OutproxyAt::I2p(I2pName::parse("echo.i2p").unwrap(), 1080);
    for definition in [
        by(i2p, OutproxyProtocol::Socks5),
        by(tcp, OutproxyProtocol::HttpConnect),
        by(OutproxyAt::Unix("/nowhere/socks".into()), OutproxyProtocol::Socks5),
    ] {
        let proxy = proxy(&bridge, all_via(&["upstream"]), vec![definition]).await;
        let client = Client::open(&proxy).await;
        client.send(0, &domain("name.example"), 53, b"x").await;
        client.echo(b"I2P continues").await;
        assert_eq!(proxy.datagram_counts.dropped(DropReason::NotAllowed), 1);
    }
    assert_eq!(upstream.seen().associations.len(), 0);
}

#[tokio::test]
async fn datagrams_to_outproxies_continue_while_the_router_is_dead() {
    let mut bridge = bridge().await;
    let upstream = Upstream::start("upstream", Behaviour::Echo).await;
    let proxy = proxy(&bridge, all_via(&["upstream"]), vec![upstream.definition()]).await;
    let client = Client::open(&proxy).await;
    client.echo(b"there").await;
    bridge.kill().await;
    while proxy.datagram_counts.dropped(DropReason::NoSession) == 0 {
        client.send(0, &domain("echo.i2p"), 7, b"lost").await;
        there_and_back(&client, &domain("name.example"), 53, b"x").await;
    }
}
