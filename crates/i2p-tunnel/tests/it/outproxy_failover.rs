//! What happens when an outproxy does not connect: another one, unless the target is at fault; who is served by which; who is
//! left alone, and for how long.

use std::{collections::BTreeMap, time::Duration};

use i2p_name::I2pName;
use i2p_tunnel::{
    OutproxyAt,
    OutproxyProtocol::{HttpConnect, Socks5},
    OutproxyTrouble as Trouble,
};
use sam_testkit::{Act, TestBridge};
use tokio::time::{Instant, advance, pause, resume};

use crate::common::exit::{Answer, Exit, GRANTED, Routed, all_via, refused, routed, routed_within, rule};

/// Two outproxies over TCP, `a` before `b`.
async fn two(bridge: &TestBridge) -> (Exit, Exit, Routed) {
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(bridge, all_via(&["a", "b"]), vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    (a, b, routed)
}

/// Time that passes while nothing is under way.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

#[tokio::test]
async fn an_outproxy_in_trouble_is_followed_by_the_next_and_counted() {
    let bridge = TestBridge::start().await;
    for (answer, trouble) in [
        (Answer::Close, Trouble::Closed),
        (Answer::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Trouble::Malformed),
        (Answer::Raw(b"\x05\xff".to_vec()), Trouble::Credentials),
        (Answer::Raw(b"\x05\x01".to_vec()), Trouble::Malformed),
        (refused(7), Trouble::Malformed),
    ] {
        let (a, _b, routed) = two(&bridge).await;
        a.does(answer);
        assert_eq!(routed.by("example.com", 80).await.unwrap(), "b", "{trouble:?}");
        assert_eq!(routed.status("a").troubles, BTreeMap::from([(trouble, 1)]));
        assert_eq!(routed.status("b").successes, 1);
    }
}

#[tokio::test]
async fn an_outproxy_that_is_not_there_is_followed_by_the_next() {
    let bridge = TestBridge::start().await;
    let b = Exit::start("b", GRANTED).await;
    let unreachable = Exit::start("a", GRANTED).await;
    let in_i2p = unreachable.in_i2p(Socks5);
    let nameless = unreachable.at(OutproxyAt::I2p(I2pName::parse("nosuch.i2p").unwrap(), 80), Socks5);
    let over_tcp = unreachable.end().await;
    for (definition, trouble) in
        [(over_tcp, Trouble::Unreachable), (in_i2p, Trouble::Unreachable), (nameless, Trouble::NameUnknown)]
    {
        let routed = routed(&bridge, all_via(&["a", "b"]), vec![definition, b.over_tcp(Socks5)]).await;
        assert_eq!(routed.by("example.com", 80).await.unwrap(), "b", "{trouble:?}");
        assert_eq!(routed.status("a").troubles, BTreeMap::from([(trouble, 1)]));
    }
}

#[tokio::test]
async fn silence_is_followed_by_the_next_within_the_limit() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = two(&bridge).await;
    a.does(Answer::Silent);
    pause();
    let start = Instant::now();
    assert_eq!(routed.by("example.com", 80).await.unwrap(), "b");
    assert_eq!(start.elapsed().as_secs(), 40);
    assert_eq!(routed.status("a").troubles, BTreeMap::from([(Trouble::TimedOut, 1)]));
    // One that answers and is then slow may wait for its target: that is no trouble of its own.
    a.does(Answer::Slow);
    assert_eq!(routed.by("example.org", 80).await.unwrap(), "b");
    assert_eq!((routed.status("a").declined, a.asked().len()), (1, 2));
}

/// No client waits longer than the proxy's limit for all dialling, and what it is told is that outproxies failed.
#[tokio::test]
async fn all_silent_is_a_failure_within_the_limit() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    a.does(Answer::Silent);
    b.does(Answer::Drip(0x05));
    pause();
    let start = Instant::now();
    assert_eq!(routed.by("example.com", 80).await, Err(4));
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    assert_eq!((a.asked().len(), b.asked().len()), (1, 1));
}

/// However short that limit is: each has its part of it, and what the client is told is not that it was reached.
#[tokio::test]
async fn a_short_limit_is_shared_out() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let definitions = vec![a.over_tcp(Socks5), b.over_tcp(Socks5)];
    let dial = Duration::from_secs(12);
    let routed = routed_within(&bridge, all_via(&["a", "b"]), definitions, dial).await;
    a.does(Answer::Silent);
    pause();
    let start = Instant::now();
    assert_eq!(routed.by("example.com", 80).await.unwrap(), "b");
    assert_eq!(start.elapsed().as_secs(), 4);
    b.does(Answer::Silent);
    let start = Instant::now();
    assert_eq!(routed.by("example.org", 80).await, Err(4));
    assert!(start.elapsed() < dial, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_target_at_fault_is_said_and_asked_of_nobody_else() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    for (code, expected) in [(4, 4), (5, 5), (6, 6), (0xf0, 4), (0xf2, 5), (0xf4, 4), (0xf6, 1), (0xf7, 6)] {
        for _ in 0..4 {
            a.does(refused(code));
            assert_eq!(routed.by("example.com", 80).await, Err(expected), "{code:#x}");
        }
    }
    assert!(b.asked().is_empty());
    let status = routed.status("a");
    assert_eq!((status.attempts, status.target_failures, status.ejections), (32, 32, 0));
}

#[tokio::test]
async fn statuses_of_http_say_whose_fault_it_is() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(&bridge, all_via(&["a", "b"]), vec![a.in_i2p(HttpConnect), b.in_i2p(Socks5)]).await;
    for (head, expected) in [
        ("HTTP/1.1 502 Bad Gateway", Err(4)),
        ("HTTP/1.1 504 Gateway Timeout", Err(6)),
        ("HTTP/1.1 500 Unable to connect", Ok("b")),
        ("HTTP/1.1 403 Filtered", Ok("b")),
        ("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic", Ok("b")),
    ] {
        a.does(Answer::Http(head));
        // Each about another host: who was served by whom is another matter.
        let host = format!("{}.example", head.split(' ').nth(1).unwrap());
        assert_eq!(routed.by(&host, 80).await, expected.map(str::to_owned), "{head}");
    }
    let status = routed.status("a");
    assert_eq!((status.target_failures, status.declined), (2, 2));
    assert_eq!(status.troubles, BTreeMap::from([(Trouble::Credentials, 1)]));
}

/// What clients can bring about by what they ask for gets nobody ejected.
#[tokio::test]
async fn declining_goes_on_to_the_next_and_does_not_count_against_the_outproxy() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    for code in [1, 2, 3, 8, 0x5b] {
        for round in 0..4 {
            a.does(refused(code));
            let host = format!("host-{code}-{round}.example");
            assert_eq!(routed.by(&host, 80).await.unwrap(), "b", "{code}");
        }
    }
    let status = routed.status("a");
    assert_eq!((status.declined, status.ejections, status.ejected_for), (20, 0, None));
    b.does(refused(1));
    assert_eq!(routed.by("example.com", 80).await, Err(4), "none connected");
}

#[tokio::test]
async fn a_target_stays_with_the_outproxy_that_served_it() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = two(&bridge).await;
    a.does(Answer::Close);
    assert_eq!(routed.by("example.com", 80).await.unwrap(), "b");
    a.does(GRANTED);
    for port in [80, 443] {
        assert_eq!(
            routed.by("example.com", port).await.unwrap(),
            "b",
            "the first is well again, and it stays"
        );
    }
    assert_eq!(routed.by("example.org", 80).await.unwrap(), "a", "others go to the first");
    let somebody_else = Some(("other", "client"));
    assert_eq!(
        routed.by_as("example.com", 80, somebody_else).await.unwrap(),
        "a",
        "and so do others' requests"
    );
    routed.outproxies.renew();
    assert_eq!(routed.by("example.com", 80).await.unwrap(), "a", "new identities begin anew");
}

/// Or a choice by port would hold for the first port only.
#[tokio::test]
async fn another_list_of_outproxies_is_another_choice() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let rules = vec![rule("*", "80", &["a", "b"]), rule("*", "443", &["b", "a"])];
    let routed = routed(&bridge, rules, vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    for (port, expected) in [(80, "a"), (443, "b"), (80, "a")] {
        assert_eq!(routed.by("example.com", port).await.unwrap(), expected, "{port}");
    }
}

#[tokio::test]
async fn troubles_in_a_row_leave_an_outproxy_alone_for_longer_each_time() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = two(&bridge).await;
    a.does(Answer::Close);
    let ask = async |number: u32| {
        let host = format!("host-{number}.example");
        assert_eq!(routed.by(&host, 80).await.unwrap(), "b");
        a.times()
    };
    for number in 0..3 {
        assert_eq!(ask(number).await, 1, "it is asked first, {number}");
    }
    let status = routed.status("a");
    assert_eq!((status.ejections, status.ejected_for.is_some()), (1, true));
    assert_eq!(ask(3).await, 0, "it is left alone");
    pass(Duration::from_secs(61)).await;
    assert_eq!(routed.status("a").ejected_for, None);
    assert_eq!(ask(4).await, 1, "it is tried again");
    assert_eq!(ask(5).await, 0, "and once was enough");
    pass(Duration::from_secs(61)).await;
    assert_eq!(ask(6).await, 0, "it is left alone for twice as long");
    pass(Duration::from_secs(60)).await;
    a.does(GRANTED);
    assert_eq!(routed.by("last.example", 80).await.unwrap(), "a");
    let status = routed.status("a");
    assert_eq!((status.ejections, status.successes, status.ejected_for), (2, 1, None));
    assert_eq!(status.troubles, BTreeMap::from([(Trouble::Closed, 4)]));
}

#[tokio::test]
async fn all_left_alone_are_asked_all_the_same() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    a.does(Answer::Close);
    b.does(Answer::Close);
    for _ in 0..3 {
        assert_eq!(routed.by("example.com", 80).await, Err(4));
    }
    assert!(["a", "b"].iter().all(|name| routed.status(name).ejected_for.is_some()));
    b.does(GRANTED);
    assert_eq!(routed.by("example.com", 80).await.unwrap(), "b");
    assert_eq!(routed.status("b").ejected_for, None, "it does well");
}

/// Our router's troubles are not the outproxy's, and those outside I2P need no router.
#[tokio::test]
async fn a_router_that_is_away_is_no_fault_of_an_outproxy() {
    let mut bridge = TestBridge::start().await;
    let (a, b, c) =
        (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await, Exit::start("c", GRANTED).await);
    let rules = vec![rule("*", "80", &["a", "b"]), rule("*", "81", &["a", "b", "c"])];
    let definitions = vec![a.in_i2p(Socks5), b.in_i2p(Socks5), c.over_tcp(Socks5)];
    let routed = routed(&bridge, rules, definitions).await;
    bridge.kill().await;
    for _ in 0..3 {
        assert_eq!(routed.by("example.com", 80).await, Err(1), "the router is away");
    }
    assert_eq!(routed.by("example.com", 81).await.unwrap(), "c");
    let status = routed.status("a");
    assert_eq!((status.router_failures, status.ejections, status.troubles.len()), (4, 0, 0));
    assert_eq!(routed.status("b").attempts, 0, "it would have been no better");
}

/// Tunnels take minutes to build: longer than an outproxy may be silent.
#[tokio::test]
async fn waiting_for_our_own_session_is_not_counted_against_an_outproxy() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(&bridge, all_via(&["a", "b"]), vec![a.in_i2p(Socks5), b.in_i2p(Socks5)]).await;
    // The first client has the session that was built at the start.
    assert_eq!(routed.by("example.com", 80).await.unwrap(), "a");
    bridge.on("SESSION CREATE", Act::late(Duration::from_secs(60)));
    pause();
    let new_client = Some(("new", "client"));
    assert_eq!(routed.by_as("example.com", 80, new_client).await.unwrap(), "a");
    assert!(routed.status("a").troubles.is_empty() && b.asked().is_empty());
}
