//! RESOLVE and RESOLVE_PTR: I2P names and hosts to which a route leads get virtual addresses, those give the names back, and everything
//! else is refused.

use std::{net::IpAddr, num::NonZeroUsize};

use i2p_name::{VirtualOptions, VirtualRanges};
use i2p_tunnel::OutproxyProtocol::Socks5;
use sam_testkit::{Act, Dialect, TestBridge};

use crate::common::{
    self, b32, domain,
    exit::{Exit, GRANTED, route, routed},
    proxy, proxy_with_addresses, socks5_command,
};

/// A SOCKS4a RESOLVE request.
fn socks4a_resolve(host: &str) -> Vec<u8> {
    [&[4, 0xf0, 0, 0, 0, 0, 0, 1, 0], host.as_bytes(), &[0]].concat()
}

#[tokio::test]
async fn a_name_resolves_to_an_address_and_the_address_to_the_name() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let address = proxy.resolve("Known.I2P.").await.unwrap();
    assert!(matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 250), "in the default range");
    assert_eq!(proxy.resolve("known.i2p").await, Ok(address), "the address stays the same");
    assert_eq!(proxy.resolve_ptr(address).await.unwrap(), "known.i2p");
    let as_text = proxy.exchange(&socks5_command(0xf1, &domain(&address.to_string()), 42)).await;
    assert_eq!(as_text, [&[5, 0, 5, 0, 0][..], &domain("known.i2p"), &[0, 0]].concat());
    let other = proxy.resolve(&b32()).await.unwrap();
    assert_ne!(other, address);
    assert_eq!(proxy.resolve_ptr(other).await.unwrap(), b32());
}

#[tokio::test]
async fn socks4a_resolve_returns_the_address() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let answer = proxy.exchange(&socks4a_resolve("known.i2p")).await;
    let [0, 90, 0, 0, address @ ..] = &answer[..] else { panic!("{answer:?}") };
    let address = IpAddr::from(<[u8; 4]>::try_from(address).unwrap());
    // The same client without credentials, in another protocol.
    assert_eq!(proxy.resolve("known.i2p").await, Ok(address));
    assert_eq!(proxy.exchange(&socks4a_resolve("unknown.i2p")).await, [0, 91, 0, 0, 0, 0, 0, 0]);
    assert_eq!(proxy.exchange(&socks4a_resolve("fd00::1")).await, [0, 91, 0, 0, 0, 0, 0, 0]);
    assert_eq!(proxy.exchange(&socks4a_resolve("198.51.100.7")).await, [0, 90, 0, 0, 198, 51, 100, 7]);
    let ptr = [&[4, 0xf1, 0, 0][..], &[250, 0, 0, 1], &[0]].concat();
    assert_eq!(proxy.exchange(&ptr).await, [0, 91, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_name_that_the_router_does_not_know_gets_no_address() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary] {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge).await;
        assert!(proxy.resolve("echo.i2p").await.is_ok(), "{dialect:?}");
        assert_eq!(proxy.resolve("unknown.i2p").await, Err(4), "{dialect:?}");
    }
    let bridge = TestBridge::start().await;
    bridge.on("NAMING LOOKUP", [Act::line("NAMING REPLY RESULT=I2P_ERROR NAME=a.i2p")]);
    assert_eq!(proxy(&bridge).await.resolve("a.i2p").await, Err(1), "the router failed");
}

#[tokio::test]
async fn an_address_resolves_to_itself() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    for text in ["198.51.100.7", "2001:db8::7", "127.0.0.1", "250.1.2.3"] {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(proxy.resolve(text).await, Ok(address), "as text");
        let answer = proxy.exchange(&socks5_command(0xf0, &common::binary(address), 42)).await;
        assert_eq!(common::address_in(&answer[2..]), Ok(address), "as bytes");
    }
}

#[tokio::test]
async fn hosts_outside_i2p_are_not_resolved() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let before = bridge.commands().len();
    for host in ["example.com", "localhost", "i2p.example.com", "2130706433"] {
        assert_eq!(proxy.resolve(host).await, Err(2), "{host}");
    }
    assert_eq!(proxy.resolve("a.i2p SILENT=true").await, Err(1));
    for address in ["198.51.100.7", "127.0.0.1", "::1", "fd00::1"] {
        assert_eq!(proxy.resolve_ptr(address.parse().unwrap()).await, Err(2), "{address}");
    }
    assert_eq!(
        proxy.resolve_ptr("250.1.2.3".parse().unwrap()).await,
        Err(4),
        "a virtual address that is not assigned"
    );
    assert_eq!(proxy.resolve_ptr("fd91:cbed:4d7e::1".parse().unwrap()).await, Err(4));
    for name in ["known.i2p", "example.com"] {
        let answer = proxy.exchange(&socks5_command(0xf1, &domain(name), 42)).await;
        assert_eq!(common::address_in(&answer[2..]), Err(8), "{name} is not an address");
    }
    assert_eq!(bridge.commands().len(), before, "the router was asked");
}

#[tokio::test]
async fn hosts_to_which_a_route_leads_are_resolved_by_the_outproxy_when_it_connects() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let routes = vec![route("bad.example", "1-65535", &[]), route("*.example", "443", &["exit"])];
    let routed = routed(&bridge, routes, vec![exit.over_tcp(Socks5)]).await;
    let address = routed.proxy.resolve("WWW.example.").await.unwrap();
    assert!(matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 250), "{address}");
    assert_eq!(routed.proxy.resolve_ptr(address).await.unwrap(), "www.example");
    for host in ["bad.example", "example.com", "localhost", "a.localhost"] {
        assert_eq!(routed.proxy.resolve(host).await, Err(2), "{host}");
    }
    assert!(exit.requests().is_empty(), "it is asked only to connect");
    let text = address.to_string();
    assert_eq!(routed.outproxy_for(&text, 80).await, Err(2), "no route leads to this port");
    assert_eq!(routed.outproxy_for(&text, 443).await, Ok("exit".to_owned()));
    assert_eq!(exit.requests(), ["www.example:443"]);
    assert_eq!(routed.proxy.exchange(&socks4a_resolve("www.example")).await[..2], [0, 90]);
}

#[tokio::test]
async fn ipv6_is_used_once_ipv4_is_exhausted_for_protocols_that_can_express_it() {
    let bridge = TestBridge::start().await;
    let ranges = |v6: Option<&str>| {
        let v4 = "240.0.0.0/30".parse().unwrap();
        VirtualRanges::new(Some(v4), v6.map(|v6| v6.parse().unwrap())).unwrap()
    };
    let options = VirtualOptions { ranges: ranges(Some("fd00::/64")), ..VirtualOptions::default() };
    let proxy = proxy_with_addresses(&bridge, options).await;
    let host = |n: usize| format!("{}{}.b32.i2p", "a".repeat(51), ["a", "q", "y"][n % 3]);
    assert!(proxy.resolve("known.i2p").await.unwrap().is_ipv4());
    assert!(proxy.resolve("echo.i2p").await.unwrap().is_ipv4());
    let v6 = proxy.resolve(&host(0)).await.unwrap();
    assert!(v6.is_ipv6());
    assert_eq!(proxy.resolve(&host(0)).await, Ok(v6));
    assert_eq!(proxy.resolve_ptr(v6).await.unwrap(), host(0));
    assert_eq!(proxy.exchange(&socks4a_resolve(&host(0))).await[..2], [0, 91]);

    let options = VirtualOptions { ranges: ranges(None), ..VirtualOptions::default() };
    let proxy = proxy_with_addresses(&bridge, options).await;
    for host in ["known.i2p", "echo.i2p"] {
        assert!(proxy.resolve(host).await.is_ok());
    }
    assert_eq!(proxy.resolve(&host(0)).await, Err(1), "all addresses are in use");

    let max = NonZeroUsize::new(1).unwrap();
    let proxy = proxy_with_addresses(&bridge, VirtualOptions { max, ..VirtualOptions::default() }).await;
    assert!(proxy.resolve("known.i2p").await.is_ok());
    assert_eq!(proxy.resolve("echo.i2p").await, Err(1), "the maximum is reached");
    assert!(proxy.resolve("known.i2p").await.is_ok(), "an assigned address stays");
}
