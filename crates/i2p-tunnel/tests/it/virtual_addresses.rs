//! CONNECT to virtual addresses: in every form, only for the client that got the address, and as long as it is in use.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroUsize, time::Duration};

use i2p_name::{I2pName, NamedTarget, VirtualOptions, VirtualRanges};
use sam_testkit::{Endpoint, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{
    Proxy, address_in, binary, domain, proxy, proxy_with_addresses, socks5_command, socks5_request,
};

fn socks4_request(address: IpAddr, user_id: &str) -> Vec<u8> {
    let IpAddr::V4(address) = address else { panic!("SOCKS4 knows IPv4") };
    [&[4, 1, 0, 80][..], &address.octets(), user_id.as_bytes(), &[0]].concat()
}

/// The destination of the latest stream.
fn connected_last(bridge: &TestBridge) -> String {
    bridge.streams().last().unwrap().to.clone()
}

#[tokio::test]
async fn a_virtual_address_reaches_its_name_in_every_form() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("known.i2p", Endpoint::Echo);
    let proxy = proxy(&bridge).await;
    let address = proxy.resolve("known.i2p").await.unwrap();
    proxy.resolve("echo.i2p").await.unwrap();
    let IpAddr::V4(v4) = address else { panic!("IPv4") };
    let mapped = IpAddr::from(v4.to_ipv6_mapped());
    for request in [
        socks5_command(1, &binary(address), 80),
        socks5_command(1, &binary(mapped), 80),
        socks5_request(&address.to_string(), 80),
        socks5_request(&mapped.to_string(), 80),
        socks4_request(address, ""),
        [&[4, 1, 0, 80, 0, 0, 0, 1, 0], address.to_string().as_bytes(), &[0]].concat(),
    ] {
        let granted = if request[0] == 5 { 0 } else { 90 };
        assert_eq!(proxy.echo(&request).await, granted, "{request:?}");
        assert_eq!(connected_last(&bridge), destination);
    }
}

#[tokio::test]
async fn a_virtual_ipv6_address_reaches_its_name() {
    let bridge = TestBridge::start().await;
    let ranges = VirtualRanges::new(None, Some("fd00:1::/64".parse().unwrap())).unwrap();
    let proxy = proxy_with_addresses(&bridge, VirtualOptions { ranges, ..VirtualOptions::default() }).await;
    let address = proxy.resolve("known.i2p").await.unwrap();
    assert!(address.is_ipv6());
    assert_eq!(proxy.echo(&socks5_command(1, &binary(address), 80)).await, 0);
    assert_eq!(proxy.echo(&socks5_request(&format!("[{address}]"), 80)).await, 0);
}

#[tokio::test]
async fn an_unassigned_virtual_address_is_refused() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let before = bridge.commands().len();
    for address in ["250.1.2.3", "::ffff:250.1.2.3", "fd91:cbed:4d7e::1"] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(proxy.echo(&socks5_command(1, &binary(address), 80)).await, 4, "{address}");
        assert_eq!(proxy.socks5(&address.to_string(), 80).await.1, 4, "{address}");
    }
    assert_eq!(proxy.echo(&socks4_request([250, 1, 2, 3].into(), "")).await, 91);
    assert_eq!(bridge.commands().len(), before);
}

/// A SOCKS5 request with a user name and password of one letter.
fn as_user(user: u8, request: &[u8]) -> Vec<u8> {
    [&[5, 1, 2, 1, 1, user, 1, user][..], &request[3..]].concat()
}

async fn resolve_as(proxy: &Proxy, user: u8, host: &str) -> IpAddr {
    let answer = proxy.exchange(&as_user(user, &socks5_command(0xf0, &domain(host), 42))).await;
    assert_eq!(answer[..4], [5, 2, 1, 0], "credentials accepted");
    address_in(&answer[4..]).unwrap()
}

/// A client cannot learn another client's targets by trying addresses, whether they share a session or not.
#[tokio::test]
async fn a_virtual_address_is_refused_for_other_clients() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let (a, b) = (resolve_as(&proxy, b'a', "known.i2p").await, resolve_as(&proxy, b'b', "known.i2p").await);
    assert_ne!(a, b, "equal addresses would reveal that both clients look for the same name");
    for (user, command, address, code) in [
        (b'a', 1, a, 0),
        (b'a', 1, b, 4),
        (b'b', 1, b, 0),
        (b'b', 1, a, 4),
        (b'a', 0xf1, a, 0),
        (b'b', 0xf1, a, 4),
    ] {
        let mut client = proxy.connect().await;
        client.write_all(&as_user(user, &socks5_command(command, &binary(address), 80))).await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [5, 2, 1, 0, 5, code], "command {command} as {}", char::from(user));
    }
    assert_eq!(proxy.echo(&socks5_command(1, &binary(a), 80)).await, 4, "without credentials");
    assert_eq!(proxy.echo(&socks4_request(a, "a")).await, 91, "a user id is not a user name");
}

#[tokio::test]
async fn a_virtual_address_expires_but_not_while_a_stream_uses_it() {
    let bridge = TestBridge::start().await;
    let expire_after = Duration::from_millis(600);
    let options = VirtualOptions {
        ranges: VirtualRanges::new(Some("240.0.0.0/30".parse().unwrap()), None).unwrap(),
        expire_after: Some(expire_after),
        max: NonZeroUsize::new(1).unwrap(),
        ..VirtualOptions::default()
    };
    let proxy = proxy_with_addresses(&bridge, options).await;
    let address = proxy.resolve("known.i2p").await.unwrap();
    let request = socks5_command(1, &binary(address), 80);
    let mut client = proxy.connect().await;
    client.write_all(&request).await.unwrap();
    let mut reply = [0; 12];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..4], [5, 0, 5, 0]);
    // A sleep, since the test is that the address does not expire.
    tokio::time::sleep(2 * expire_after).await;
    assert_eq!(proxy.resolve("echo.i2p").await, Err(1), "the only address is in use");
    assert_eq!(proxy.resolve_ptr(address).await.unwrap(), "known.i2p");
    drop(client);
    let other = loop {
        match proxy.resolve("echo.i2p").await {
            Ok(other) => break other,
            Err(code) => assert_eq!(code, 1),
        }
        tokio::time::sleep(expire_after / 10).await;
    };
    if other != address {
        assert_eq!(proxy.echo(&request).await, 4, "expired");
    }
    assert_eq!(proxy.resolve_ptr(other).await.unwrap(), "echo.i2p");
}

#[tokio::test]
async fn static_addresses_work_for_all_clients() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("known.i2p", Endpoint::Echo);
    let name = |text| NamedTarget::I2p(I2pName::parse(text).unwrap());
    let map = BTreeMap::from([
        ([10, 0, 0, 1].into(), name("known.i2p")),
        ([198, 51, 100, 7].into(), name("unknown.i2p")),
        ("2001:db8::7".parse().unwrap(), name("echo.i2p")),
        (
            [10, 0, 0, 2].into(),
            I2pName::from(sam_testkit::destination().parse::<i2p_name::Destination>().unwrap()).into(),
        ),
    ]);
    let proxy = proxy_with_addresses(&bridge, VirtualOptions { map, ..VirtualOptions::default() }).await;
    let known = [10, 0, 0, 1].into();
    assert_eq!(proxy.echo(&socks4_request(known, "anybody")).await, 90);
    assert_eq!(connected_last(&bridge), destination);
    assert_eq!(resolve_as(&proxy, b'a', "known.i2p").await, known);
    assert_eq!(proxy.echo(&socks5_command(1, &binary("2001:db8::7".parse().unwrap()), 80)).await, 0);
    assert_eq!(proxy.echo(&socks5_request("198.51.100.7", 80)).await, 4, "its name is in no address book");
    assert_eq!(proxy.echo(&socks5_request("198.51.100.8", 80)).await, 2, "like any other address");
    assert_eq!(proxy.resolve("known.i2p").await, Ok(known));
    assert_eq!(proxy.resolve_ptr(known).await.unwrap(), "known.i2p");
    let destination = proxy.resolve_ptr([10, 0, 0, 2].into()).await.unwrap();
    assert!(destination.ends_with(".b32.i2p"), "a destination is too long for a reply");
}
