//! Whom the failure of an outproxy concerns: all clients if it has nothing to do with a request, otherwise only the client that asked.

use std::{collections::BTreeMap, time::Duration};

use i2p_tunnel::{
    OutproxyFault as Fault,
    OutproxyProtocol::{HttpConnect, Socks5},
};
use sam_testkit::{Act, TestBridge};
use tokio::time::{advance, pause, resume};

use crate::common::exit::{Answer, Exit, GRANTED, Routed, all_via, refusal, routed};

const CONNECTED: Answer = Answer::Http("HTTP/1.1 200 OK");
const ALICE: Option<(&str, &str)> = Some(("alice", "a"));
const BOB: Option<(&str, &str)> = Some(("bob", "b"));

/// Asks for hosts that nobody has asked for before. Returns the outproxies that connected.
async fn visit_new_hosts(routed: &Routed, who: Option<(&str, &str)>, from: u32, count: u32) -> Vec<String> {
    let mut served_by = Vec::new();
    for number in from..from + count {
        let host = format!("host-{number}.example");
        served_by.push(routed.outproxy_for_user(&host, 80, who).await.unwrap());
    }
    served_by
}

/// An outproxy `a` that speaks HTTP, before `b`.
async fn http_before_socks(bridge: &TestBridge) -> (Exit, Exit, Routed) {
    let (a, b) = (Exit::start("a", CONNECTED).await, Exit::start("b", GRANTED).await);
    let routed =
        routed(bridge, all_via(&["a", "b"]), vec![a.over_tcp(HttpConnect), b.over_tcp(Socks5)]).await;
    (a, b, routed)
}

/// The attack: a page with three images on hosts that hang moved every client to the next outproxy.
#[tokio::test]
async fn targets_that_fail_at_an_outproxy_move_only_the_client_that_asked_for_them() {
    let bridge = TestBridge::start().await;
    for (answer, fault) in [
        (Answer::Silent, Fault::TimedOut),
        (Answer::Close, Fault::Closed),
        (Answer::Raw(b"nonsense\r\n\r\n".to_vec()), Fault::Malformed),
        (Answer::Http("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic"), Fault::Credentials),
        (Answer::Http("HTTP/1.1 405 x"), Fault::Malformed),
        (Answer::Http("HTTP/1.1 501 x"), Fault::Malformed),
    ] {
        let (a, _b, routed) = http_before_socks(&bridge).await;
        pause();
        a.set_answer(answer);
        assert_eq!(visit_new_hosts(&routed, ALICE, 0, 3).await, ["b", "b", "b"], "{fault:?}");
        let status = routed.status("a");
        assert_eq!((status.ejections, status.ejected_for), (0, None), "{fault:?}");
        assert_eq!(status.faults, BTreeMap::from([(fault, 3)]));
        a.set_answer(CONNECTED);
        a.take_request_count();
        assert_eq!(visit_new_hosts(&routed, BOB, 10, 1).await, ["a"], "{fault:?}, others use it as before");
        assert_eq!(a.take_request_count(), 1);
        assert_eq!(visit_new_hosts(&routed, ALICE, 20, 1).await, ["b"], "{fault:?}");
        assert_eq!(a.take_request_count(), 0, "she tries the other one first for a while");
        advance(Duration::from_secs(61)).await;
        assert_eq!(visit_new_hosts(&routed, ALICE, 30, 1).await, ["a"], "{fault:?}, and then returns to it");
        resume();
    }
}

#[tokio::test]
async fn an_outproxy_that_fails_one_client_still_serves_it_if_there_is_no_other() {
    let bridge = TestBridge::start().await;
    let a = Exit::start("a", Answer::Close).await;
    let routed = routed(&bridge, all_via(&["a"]), vec![a.over_tcp(HttpConnect)]).await;
    for _ in 0..4 {
        assert_eq!(routed.outproxy_for_user("example.com", 80, ALICE).await, Err(4));
    }
    a.set_answer(CONNECTED);
    assert_eq!(routed.outproxy_for_user("example.com", 80, ALICE).await.unwrap(), "a");
}

/// A server may refuse CONNECT, or close, because of the target. Before it knows the target, it cannot.
#[tokio::test]
async fn what_a_socks_outproxy_does_before_it_knows_the_target_concerns_all() {
    let bridge = TestBridge::start().await;
    for (answer, concerns_all) in [
        (Answer::Close, true),
        (Answer::Raw(b"\x05\xff".to_vec()), true),
        (Answer::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), true),
        (refusal(7), false),
    ] {
        let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
        let routed =
            routed(&bridge, all_via(&["a", "b"]), vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
        let shown = format!("{answer:?}");
        a.set_answer(answer);
        assert_eq!(visit_new_hosts(&routed, ALICE, 0, 3).await, ["b", "b", "b"], "{shown}");
        assert_eq!(routed.status("a").ejected_for.is_some(), concerns_all, "{shown}");
        a.set_answer(GRANTED);
        let expected = if concerns_all { "b" } else { "a" };
        assert_eq!(visit_new_hosts(&routed, BOB, 10, 1).await, [expected], "{shown}");
    }
}

/// A new session often does not find its way at once. A client that makes up credentials has as many new sessions as it likes.
#[tokio::test]
async fn a_session_that_has_reached_no_outproxy_is_no_witness_against_one() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(&bridge, all_via(&["a", "b"]), vec![a.in_i2p(Socks5), b.over_tcp(Socks5)]).await;
    let fail = || bridge.once("STREAM CONNECT", Act::refuse("STREAM STATUS RESULT=CANT_REACH_PEER"));
    for number in 0..4 {
        fail();
        let user = format!("new-{number}");
        assert_eq!(visit_new_hosts(&routed, Some((&user, "x")), number * 10, 1).await, ["b"]);
    }
    assert_eq!(routed.status("a").ejected_for, None);
    assert_eq!(visit_new_hosts(&routed, ALICE, 100, 1).await, ["a"]);
    for number in 0..3 {
        fail();
        assert_eq!(visit_new_hosts(&routed, ALICE, 200 + number, 1).await, ["b"]);
    }
    assert!(routed.status("a").ejected_for.is_some(), "a session that has reached it before is one");
}

/// Nor does a client displace what is remembered of the others by asking for many hosts.
#[tokio::test]
async fn a_client_with_many_targets_does_not_change_the_choices_of_others() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", Answer::Close).await, Exit::start("b", GRANTED).await);
    let routed = routed(&bridge, all_via(&["a", "b"]), vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    assert_eq!(routed.outproxy_for_user("example.com", 80, BOB).await.unwrap(), "b");
    a.set_answer(GRANTED);
    let served_by = visit_new_hosts(&routed, ALICE, 0, 100).await;
    assert!(served_by.iter().all(|name| name == "a"));
    assert_eq!(
        routed.outproxy_for_user("example.com", 80, BOB).await.unwrap(),
        "b",
        "his target stays with it"
    );
}
