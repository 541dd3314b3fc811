//! Routing to outproxies: the first matching route decides, requests without one are refused, and some hosts never leave.

use i2p_tunnel::OutproxyProtocol::Socks5;
use sam_testkit::TestBridge;

use crate::common::{
    self, b32, binary,
    exit::{Exit, GRANTED, Routed, all_via, route, routed},
    socks5_command,
};

#[tokio::test]
async fn the_port_decides_which_outproxy() {
    let bridge = TestBridge::start().await;
    let (web, mail, onion) = (
        Exit::start("web", GRANTED).await,
        Exit::start("mail", GRANTED).await,
        Exit::start("onion", GRANTED).await,
    );
    let routes = vec![
        route("*.onion", "1-65535", &["onion"]),
        route("bad.example", "1-65535", &[]),
        route("*", "25,465-587", &["mail"]),
        route("*", "80,443", &["web"]),
    ];
    let definitions = vec![web.in_i2p(Socks5), mail.in_i2p(Socks5), onion.over_tcp(Socks5)];
    let routed = routed(&bridge, routes, definitions).await;
    for (host, port, expected) in [
        ("example.com", 80, Ok("web")),
        ("Example.COM.", 443, Ok("web")),
        ("198.51.100.7", 443, Ok("web")),
        ("[2001:db8::1]", 80, Ok("web")),
        ("bücher.example", 80, Ok("web")),
        ("example.com", 25, Ok("mail")),
        ("example.com", 500, Ok("mail")),
        ("a.onion", 25, Ok("onion")),
        ("bad.example", 80, Err(2)),
        ("example.com", 22, Err(2)),
    ] {
        assert_eq!(routed.outproxy_for(host, port).await, expected.map(str::to_owned), "{host}:{port}");
    }
    // Outproxies get names in canonical form, unresolved, and addresses as addresses.
    let asked = [
        "example.com:80",
        "example.com:443",
        "198.51.100.7:443",
        "2001:db8::1:80",
        "xn--bcher-kva.example:80",
    ];
    assert_eq!(web.requests(), asked);
    assert_eq!(mail.requests(), ["example.com:25", "example.com:500"]);
    assert_eq!(onion.requests().len(), 1);
}

#[tokio::test]
async fn local_hosts_and_disguised_addresses_are_refused() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let mut routes = all_via(&["exit"]);
    routes.push(route("0.0.0.0/0", "1-65535", &["exit"]));
    routes.push(route("::/0", "1-65535", &["exit"]));
    let routed = routed(&bridge, routes, vec![exit.over_tcp(Socks5)]).await;
    for host in [
        "localhost",
        "a.localhost.",
        "127.0.0.1",
        "10.0.0.1",
        "[::1]",
        "::ffff:192.168.0.1",
        "fe80::1",
        "224.0.0.1",
        "0.0.0.0",
    ] {
        assert_eq!(routed.outproxy_for(host, 80).await, Err(2), "{host}");
    }
    // Numeric forms of addresses, and unassigned virtual addresses.
    for (host, code) in [("2130706433", 2), ("0x7f.1", 2), ("250.1.2.3", 4), ("fd91:cbed:4d7e::1", 4)] {
        assert_eq!(routed.outproxy_for(host, 80).await, Err(code), "{host}");
    }
    for address in ["127.0.0.1", "::1", "::ffff:10.0.0.1"] {
        let request = socks5_command(1, &binary(address.parse().unwrap()), 80);
        assert_eq!(routed.proxy.exchange(&request).await[3], 2, "{address}");
    }
    assert!(exit.requests().is_empty(), "{:?}", exit.requests());
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "exit", "other hosts are served");
}

#[tokio::test]
async fn a_local_host_is_served_if_a_route_names_it() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("lan", GRANTED).await;
    let routes = vec![route("192.168.7.0/24", "80", &["lan"]), route("localhost", "80", &["lan"])];
    let routed = routed(&bridge, routes, vec![exit.over_tcp(Socks5)]).await;
    assert_eq!(routed.outproxy_for("192.168.7.9", 80).await.unwrap(), "lan");
    assert_eq!(routed.outproxy_for("localhost", 80).await.unwrap(), "lan");
    assert_eq!(routed.outproxy_for("192.168.8.9", 80).await, Err(2));
    assert_eq!(routed.outproxy_for("127.0.0.1", 80).await, Err(2));
    assert_eq!(exit.requests(), ["192.168.7.9:80", "localhost:80"]);
}

/// Requests every spelling of every kind of I2P name, in every protocol, and checks that the outproxy gets none.
async fn stays_in_i2p(routed: &Routed, exit: &Exit) {
    let upper = b32().to_uppercase();
    let destination = sam_testkit::destination();
    for host in [
        "known.i2p",
        "KNOWN.I2P",
        "known.i2p.",
        "known.i2p.alt",
        "Known.I2p.Alt.",
        "nosuch.i2p",
        "nosuch。i2p",
        "ｎｏｓｕｃｈ．ｉ２ｐ",
        "a_b.i2p",
        "..i2p",
        "i2p",
        "i2p.alt",
        "bad.b32.i2p",
        &b32(),
        &upper,
        &destination,
    ] {
        if host.len() < 256 {
            let _ = routed.proxy.exchange(&common::socks5_request(host, 80)).await;
        }
        let _ = routed.proxy.exchange(&common::socks4a_request(host, 80)).await;
    }
    assert!(exit.requests().is_empty(), "{:?}", exit.requests());
}

#[tokio::test]
async fn i2p_names_never_reach_an_outproxy() {
    let mut bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let routes = vec![
        route("*", "1-65535", &["exit"]),
        route("*p", "1-65535", &["exit"]),
        route(".alt", "1-65535", &["exit"]),
    ];
    let routed = routed(&bridge, routes, vec![exit.over_tcp(Socks5)]).await;
    bridge.on("STREAM CONNECT", sam_testkit::Act::refuse("STREAM STATUS RESULT=CANT_REACH_PEER"));
    stays_in_i2p(&routed, &exit).await;
    // A virtual address stands for its name.
    let address = routed.proxy.resolve("known.i2p").await.unwrap();
    let reply = routed.proxy.exchange(&socks5_command(1, &binary(address), 80)).await;
    assert_eq!(reply[3], 4);
    // The same while the router is dead.
    bridge.kill().await;
    let reply = routed.proxy.exchange(&common::socks5_request("known.i2p", 80)).await;
    assert_eq!(reply[3], 1);
    assert!(exit.requests().is_empty(), "{:?}", exit.requests());
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "exit", "the outproxy works");
}
