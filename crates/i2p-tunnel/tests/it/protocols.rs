//! A tunnel serves only the protocols that it allows. It refuses others before anything is dialled.

use i2p_tunnel::{AccessPolicy, Protocols};
use sam_testkit::{Endpoint, TestBridge};

use crate::common::{self, proxy_with_service, socks4a_request, socks5_command, socks5_request};

const NONE: Protocols = Protocols::NONE;

#[tokio::test]
async fn protocols_that_are_not_allowed_are_refused_in_their_own_form_and_never_reach_the_router() {
    let bridge = TestBridge::start().await;
    // Without SOCKS4: its requests need an address, which is refused with the same code either way.
    let requests: [(&str, Vec<u8>); 5] = [
        ("socks4a", socks4a_request("known.i2p", 80)),
        ("socks5", socks5_request("known.i2p", 80)),
        ("socks5 resolve", socks5_command(0xf0, &common::domain("known.i2p"), 0)),
        ("http-connect", b"CONNECT known.i2p:80 HTTP/1.1\r\n\r\n".to_vec()),
        ("http", b"GET http://site.i2p/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec()),
    ];
    bridge.host("site.i2p", Endpoint::Http("page".into()));
    for allowed in [
        Protocols { socks4a: true, ..NONE },
        Protocols { socks5: true, ..NONE },
        Protocols { http_connect: true, ..NONE },
        Protocols { http: true, ..NONE },
        Protocols { socks4: true, ..NONE },
    ] {
        let access = AccessPolicy { protocols: allowed, ..AccessPolicy::default() };
        let proxy = proxy_with_service(&bridge, |service| service.with_access(access)).await;
        for (name, request) in &requests {
            let before = bridge.commands().len();
            let answer = proxy.exchange_and_finish(request).await;
            let is_allowed = match *name {
                "socks4a" => allowed.socks4a,
                "http-connect" => allowed.http_connect,
                "http" => allowed.http,
                _ => allowed.socks5,
            };
            let granted = match answer[..] {
                [0, code, ..] => code == 90,
                [5, 0, 5, code, ..] => code == 0,
                _ => answer.starts_with(b"HTTP/1.1 200 "),
            };
            assert_eq!(granted, is_allowed, "{name} with {allowed:?}: {answer:?}");
            assert!(is_allowed || bridge.commands().len() == before, "{name} with {allowed:?}");
            if !is_allowed {
                match *name {
                    "socks4a" => assert_eq!(answer, [0, 91, 0, 0, 0, 0, 0, 0]),
                    "http-connect" | "http" => {
                        let answer = String::from_utf8(answer).unwrap();
                        assert!(
                            answer.starts_with("HTTP/1.1 403 ") && answer.contains("protocols"),
                            "{answer}"
                        );
                    }
                    _ => assert_eq!(answer, [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]),
                }
            }
        }
    }
}

/// SOCKS4 reaches I2P only by virtual addresses.
#[tokio::test]
async fn socks4_and_socks4a_are_allowed_separately() {
    let bridge = TestBridge::start().await;
    for (protocols, code) in [
        (Protocols { socks4: true, socks5: true, ..NONE }, 90),
        (Protocols { socks4a: true, socks5: true, ..NONE }, 91),
    ] {
        let access = AccessPolicy { protocols, ..AccessPolicy::default() };
        let proxy = proxy_with_service(&bridge, |service| service.with_access(access)).await;
        let Ok(std::net::IpAddr::V4(address)) = proxy.resolve("known.i2p").await else {
            panic!("no address")
        };
        let request = [&[4, 1, 0, 80], &address.octets()[..], &[0]].concat();
        assert_eq!(proxy.exchange_and_finish(&request).await[1], code);
    }
}
