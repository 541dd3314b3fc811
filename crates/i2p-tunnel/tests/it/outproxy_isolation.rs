//! Requests that are isolated from each other in I2P are isolated at outproxies too.

use std::collections::HashSet;

use i2p_tunnel::{OutproxyDefinition, OutproxyProtocol::Socks5};
use sam_testkit::TestBridge;

use crate::common::exit::{Answer, Exit, GRANTED, all_via, route, routed};

/// A server that requires credentials and accepts any, like Tor.
const TOR: Answer = Answer::Socks5 { method: 2, code: 0 };

#[tokio::test]
async fn a_local_outproxy_gets_generated_credentials_that_differ_by_client() {
    let bridge = TestBridge::start().await;
    let tor = Exit::start("tor", TOR).await;
    let routed = routed(&bridge, all_via(&["tor"]), vec![tor.over_tcp(Socks5)]).await;
    let clients = [None, Some(("alice", "secret")), Some(("bob", "secret")), Some(("alice", "hidden"))];
    for who in clients.into_iter().chain(clients) {
        assert_eq!(routed.outproxy_for_user("example.com", 80, who).await.unwrap(), "tor");
    }
    let asked = tor.requests();
    let (first, again) = asked.split_at(clients.len());
    assert_eq!(first, again, "the same client has the same credentials each time");
    assert_eq!(
        first.iter().collect::<HashSet<_>>().len(),
        clients.len(),
        "other clients have other credentials: {first:?}"
    );
    for said in &asked {
        let password = said.strip_prefix("example.com:80 i2p-socks:").unwrap();
        assert!(password.len() == 32 && password.bytes().all(|byte| byte.is_ascii_hexdigit()), "{password}");
    }
    assert!(
        asked.iter().all(|said| !["alice", "bob", "secret", "hidden"].iter().any(|own| said.contains(own)))
    );
    routed.outproxies.renew();
    routed.outproxy_for_user("example.com", 80, None).await.unwrap();
    let last = tor.requests().pop().unwrap();
    assert!(!asked.contains(&last), "a new identity has new credentials");
}

#[tokio::test]
async fn two_local_outproxies_cannot_link_a_client_by_its_credentials() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", TOR).await, Exit::start("b", TOR).await);
    let routes = vec![route("*", "80", &["a"]), route("*", "81", &["b"])];
    let routed = routed(&bridge, routes, vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    routed.outproxy_for("example.com", 80).await.unwrap();
    routed.outproxy_for("example.com", 81).await.unwrap();
    let password = |exit: &Exit| exit.requests()[0].rsplit_once(':').unwrap().1.to_owned();
    assert_ne!(password(&a), password(&b));
}

/// The exit asserts that its method was offered: without credentials, only "no authentication" is offered.
#[tokio::test]
async fn no_credentials_are_generated_if_disabled_or_over_i2p() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", TOR).await;
    let off = OutproxyDefinition { pass_isolation: false, ..exit.over_tcp(Socks5) };
    for definition in [off, exit.in_i2p(Socks5)] {
        exit.set_answer(TOR);
        let routed = routed(&bridge, all_via(&["exit"]), vec![definition]).await;
        assert_eq!(routed.outproxy_for("example.com", 80).await, Err(4), "no user name is offered");
        exit.set_answer(GRANTED);
        assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "exit");
    }
}

/// In I2P, isolated clients reach an outproxy from different sessions.
#[tokio::test]
async fn an_outproxy_in_i2p_sees_different_destinations() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let routed = routed(&bridge, all_via(&["exit"]), vec![exit.in_i2p(Socks5)]).await;
    for who in [Some(("alice", "a")), Some(("bob", "b")), Some(("alice", "a"))] {
        assert_eq!(routed.outproxy_for_user("example.com", 80, who).await.unwrap(), "exit");
    }
    let sessions: Vec<_> = bridge
        .commands()
        .iter()
        .filter(|line| line.starts_with("STREAM CONNECT"))
        .map(|line| line.split(' ').find(|pair| pair.starts_with("ID=")).unwrap().to_owned())
        .collect();
    assert_eq!(sessions.len(), 3);
    assert!(sessions[0] != sessions[1] && sessions[0] == sessions[2], "{sessions:?}");
}
