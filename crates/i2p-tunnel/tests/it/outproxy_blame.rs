//! Whom the failure of an outproxy concerns: only the identity that asked, unless the outproxy fails several clients whatever they ask.

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

/// Nor do pages that the clients of several machines visit at the same time.
#[tokio::test]
async fn targets_that_fail_for_several_machines_leave_the_outproxy_to_all_others() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = http_before_socks(&bridge).await;
    a.set_answer(Answer::Close);
    for number in 0..8 {
        let host = format!("host-{number}.example");
        assert_eq!(routed.outproxy_for_machine(1 + number % 2, &host, ALICE).await.unwrap(), "b");
    }
    let status = routed.status("a");
    assert_eq!((status.ejections, status.ejected_for, status.ejected_for_some), (0, None, None));
    a.set_answer(CONNECTED);
    assert_eq!(routed.outproxy_for_machine(3, "example.com", ALICE).await.unwrap(), "a");
}

#[tokio::test]
async fn an_outproxy_at_which_the_targets_of_a_client_fail_is_its_last_choice_and_still_one() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = http_before_socks(&bridge).await;
    a.set_answer(Answer::Close);
    assert_eq!(visit_new_hosts(&routed, ALICE, 0, 3).await, ["b"; 3]);
    a.set_answer(CONNECTED);
    b.set_answer(Answer::Close);
    assert_eq!(visit_new_hosts(&routed, ALICE, 10, 1).await, ["a"]);
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

/// A page can make an outproxy fail before it knows the target too, by a burst of requests. Then the other tabs of the browser must
/// stay where they are: if they changed to another outproxy in the same moment, they would show that they belong together.
#[tokio::test]
async fn an_outproxy_that_fails_an_identity_whatever_it_asks_is_skipped_by_this_identity_only() {
    let bridge = TestBridge::start().await;
    for (answer, is_skipped) in [
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
        assert_eq!(visit_new_hosts(&routed, ALICE, 0, 5).await, ["b"; 5], "{shown}");
        let status = routed.status("a");
        assert_eq!((status.ejected_for, status.ejected_for_some.is_some()), (None, is_skipped), "{shown}");
        // Nor is one fault of another machine's client enough.
        assert_eq!(routed.outproxy_for_machine(2, "example.com", ALICE).await.unwrap(), "b");
        a.set_answer(GRANTED);
        assert_eq!(visit_new_hosts(&routed, BOB, 10, 1).await, ["a"], "{shown}");
        assert_eq!(visit_new_hosts(&routed, ALICE, 20, 1).await, ["b"], "{shown}");
    }
}

#[tokio::test]
async fn an_outproxy_that_fails_the_clients_of_several_machines_is_skipped_by_all() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", Answer::Close).await, Exit::start("b", GRANTED).await);
    let routed = routed(&bridge, all_via(&["a", "b"]), vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    assert_eq!(visit_new_hosts(&routed, ALICE, 0, 3).await, ["b"; 3]);
    for number in 0..3 {
        assert_eq!(routed.status("a").ejected_for, None);
        let host = format!("host-{number}.example");
        assert_eq!(routed.outproxy_for_machine(2, &host, ALICE).await.unwrap(), "b");
    }
    assert!(routed.status("a").ejected_for.is_some());
    a.set_answer(GRANTED);
    assert_eq!(visit_new_hosts(&routed, BOB, 10, 1).await, ["b"]);
}

/// An outproxy `a` in I2P, before `b`.
async fn i2p_before_socks(bridge: &TestBridge) -> (Exit, Exit, Routed) {
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(bridge, all_via(&["a", "b"]), vec![a.in_i2p(Socks5), b.over_tcp(Socks5)]).await;
    (a, b, routed)
}

/// Makes requests of two machines, which cannot reach the outproxy in I2P.
async fn two_machines_fail(bridge: &TestBridge, routed: &Routed, who: Option<(&str, &str)>) {
    for number in 0..6 {
        bridge.once("STREAM CONNECT", Act::refuse("STREAM STATUS RESULT=CANT_REACH_PEER"));
        let host = format!("failing-{number}.example");
        let served_by = routed.outproxy_for_machine(1 + number % 2, &host, who).await;
        assert_eq!(served_by.unwrap(), "b", "{number}");
    }
}

/// A new session often does not find its way at once. A client that makes up credentials has as many new sessions as it likes.
#[tokio::test]
async fn a_session_that_has_reached_no_outproxy_is_no_witness_against_one() {
    let bridge = TestBridge::start().await;
    let (_a, _b, routed) = i2p_before_socks(&bridge).await;
    for number in 0..2 {
        two_machines_fail(&bridge, &routed, Some((&format!("new-{number}"), "x"))).await;
    }
    assert_eq!(routed.status("a").ejected_for, None);
    for machine in [1, 2] {
        assert_eq!(routed.outproxy_for_machine(machine, "example.com", ALICE).await.unwrap(), "a");
    }
    two_machines_fail(&bridge, &routed, ALICE).await;
    assert!(routed.status("a").ejected_for.is_some(), "a session that has reached it before is one");
}

/// After a restart of the router, the sessions of all clients are new.
#[tokio::test]
async fn a_later_session_of_a_client_that_has_reached_an_outproxy_is_no_witness_either() {
    let mut bridge = TestBridge::start().await;
    let (_a, _b, routed) = i2p_before_socks(&bridge).await;
    for machine in [1, 2] {
        assert_eq!(routed.outproxy_for_machine(machine, "example.com", ALICE).await.unwrap(), "a");
    }
    bridge.kill().await;
    bridge.restart().await;
    two_machines_fail(&bridge, &routed, ALICE).await;
    assert_eq!(routed.status("a").ejected_for, None);
    assert_eq!(visit_new_hosts(&routed, BOB, 0, 1).await, ["a"]);
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
