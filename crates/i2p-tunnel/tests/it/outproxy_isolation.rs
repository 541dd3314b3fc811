//! Requests that are kept apart from each other in I2P are kept apart at outproxies too.

use std::collections::HashSet;

use i2p_tunnel::{OutproxyDefinition, OutproxyProtocol::Socks5};
use sam_testkit::TestBridge;

use crate::common::exit::{Answer, Exit, GRANTED, all_via, routed, rule};

/// A server that wants credentials and takes any, as Tor does.
const TOR: Answer = Answer::Socks5 { method: 2, code: 0 };

#[tokio::test]
async fn a_local_outproxy_gets_made_up_credentials_that_differ_as_clients_do() {
    let bridge = TestBridge::start().await;
    let tor = Exit::start("tor", TOR).await;
    let routed = routed(&bridge, all_via(&["tor"]), vec![tor.over_tcp(Socks5)]).await;
    let clients = [None, Some(("alice", "secret")), Some(("bob", "secret")), Some(("alice", "hidden"))];
    for who in clients.into_iter().chain(clients) {
        assert_eq!(routed.by_as("example.com", 80, who).await.unwrap(), "tor");
    }
    let asked = tor.asked();
    let (first, again) = asked.split_at(clients.len());
    assert_eq!(first, again, "the same client has the same credentials each time");
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), clients.len(), "and no other has them: {first:?}");
    for said in &asked {
        let password = said.strip_prefix("example.com:80 i2p-socks:").unwrap();
        assert!(password.len() == 32 && password.bytes().all(|byte| byte.is_ascii_hexdigit()), "{password}");
    }
    assert!(
        asked.iter().all(|said| !["alice", "bob", "secret", "hidden"].iter().any(|own| said.contains(own)))
    );
    routed.outproxies.renew();
    routed.by_as("example.com", 80, None).await.unwrap();
    let last = tor.asked().pop().unwrap();
    assert!(!asked.contains(&last), "new identities are new ones there too");
}

#[tokio::test]
async fn two_local_outproxies_cannot_tell_by_credentials_that_a_client_is_the_same() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", TOR).await, Exit::start("b", TOR).await);
    let rules = vec![rule("*", "80", &["a"]), rule("*", "81", &["b"])];
    let routed = routed(&bridge, rules, vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    routed.by("example.com", 80).await.unwrap();
    routed.by("example.com", 81).await.unwrap();
    let password = |exit: &Exit| exit.asked()[0].rsplit_once(':').unwrap().1.to_owned();
    assert_ne!(password(&a), password(&b));
}

/// The exit asserts that its method was offered: without credentials, only "no authentication" is.
#[tokio::test]
async fn none_are_made_up_where_that_is_switched_off_and_over_i2p() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", TOR).await;
    let off = OutproxyDefinition { pass_isolation: false, ..exit.over_tcp(Socks5) };
    for definition in [off, exit.in_i2p(Socks5)] {
        exit.does(TOR);
        let routed = routed(&bridge, all_via(&["exit"]), vec![definition]).await;
        assert_eq!(routed.by("example.com", 80).await, Err(4), "it offers no username");
        exit.does(GRANTED);
        assert_eq!(routed.by("example.com", 80).await.unwrap(), "exit");
    }
}

/// In I2P, clients come to an outproxy from sessions of their own.
#[tokio::test]
async fn an_outproxy_in_i2p_sees_different_destinations() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let routed = routed(&bridge, all_via(&["exit"]), vec![exit.in_i2p(Socks5)]).await;
    for who in [Some(("alice", "a")), Some(("bob", "b")), Some(("alice", "a"))] {
        assert_eq!(routed.by_as("example.com", 80, who).await.unwrap(), "exit");
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
