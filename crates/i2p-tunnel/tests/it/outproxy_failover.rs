//! Failover between outproxies: another one is tried unless the target is at fault, a target stays with its outproxy, and one
//! that keeps failing is set aside for a while.

use std::{collections::BTreeMap, time::Duration};

use i2p_name::I2pName;
use i2p_tunnel::{
    OutproxyAt, OutproxyDefinition, OutproxyFault as Fault,
    OutproxyProtocol::{HttpConnect, Socks5},
};
use sam_testkit::{Act, TestBridge};
use tokio::time::{Instant, advance, pause, resume};

use crate::common::exit::{Answer, Exit, GRANTED, Routed, all_via, refusal, route, routed, routed_within};

/// Two outproxies over TCP, `a` before `b`.
async fn two(bridge: &TestBridge) -> (Exit, Exit, Routed) {
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(bridge, all_via(&["a", "b"]), vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    (a, b, routed)
}

/// Lets time pass while nothing else happens.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

#[tokio::test]
async fn after_a_broken_outproxy_the_next_is_tried_and_the_trouble_is_counted() {
    let bridge = TestBridge::start().await;
    for (answer, fault) in [
        (Answer::Close, Fault::Closed),
        (Answer::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Fault::Malformed),
        (Answer::Raw(b"\x05\xff".to_vec()), Fault::Credentials),
        (Answer::Raw(b"\x05\x01".to_vec()), Fault::Malformed),
        (refusal(7), Fault::Malformed),
    ] {
        let (a, _b, routed) = two(&bridge).await;
        a.set_answer(answer);
        assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b", "{fault:?}");
        assert_eq!(routed.status("a").faults, BTreeMap::from([(fault, 1)]));
        assert_eq!(routed.status("b").successes, 1);
    }
}

#[tokio::test]
async fn after_an_unreachable_outproxy_the_next_is_tried() {
    let bridge = TestBridge::start().await;
    let b = Exit::start("b", GRANTED).await;
    let unreachable = Exit::start("a", GRANTED).await;
    let in_i2p = unreachable.in_i2p(Socks5);
    let nameless = unreachable.at(OutproxyAt::I2p(I2pName::parse("nosuch.i2p").unwrap(), 80), Socks5);
    let over_tcp = unreachable.end().await;
    for (definition, fault) in
        [(over_tcp, Fault::Unreachable), (in_i2p, Fault::Unreachable), (nameless, Fault::NameUnknown)]
    {
        let routed = routed(&bridge, all_via(&["a", "b"]), vec![definition, b.over_tcp(Socks5)]).await;
        assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b", "{fault:?}");
        assert_eq!(routed.status("a").faults, BTreeMap::from([(fault, 1)]));
    }
}

/// One that is set aside may have a name that is known.
#[tokio::test]
async fn the_names_are_reported_as_unknown_only_if_all_of_them_were_tried() {
    let bridge = TestBridge::start().await;
    let a = Exit::start("a", GRANTED).await;
    let nameless = |name: &str| OutproxyDefinition {
        name: name.into(),
        ..a.at(OutproxyAt::I2p(I2pName::parse("nosuch.i2p").unwrap(), 80), Socks5)
    };
    let unreachable = Exit::start("b", GRANTED).await.end().await;
    let via = |port, names| route("*", port, names);
    let routes = vec![via("81", &["b"]), via("82", &["a"]), via("83", &["a", "c"]), via("80", &["a", "b"])];
    let routed = routed(&bridge, routes, vec![nameless("a"), unreachable, nameless("c")]).await;
    let status = async |port: u16| {
        let request = format!(
            "GET http://example.com:{port}/ HTTP/1.1\r\nHost: example.com:{port}\r\nConnection: close\r\n\r\n"
        );
        let answer = String::from_utf8(routed.proxy.exchange(request.as_bytes()).await).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let (failed, unknown) =
        ("HTTP/1.1 502 No way out of I2P works", "HTTP/1.1 502 The proxy's way out of I2P is unknown");
    for _ in 0..3 {
        assert_eq!(status(81).await, failed);
    }
    assert_eq!(status(80).await, failed);
    assert_eq!(routed.status("b").attempts, 3, "it is set aside");
    assert_eq!(status(82).await, unknown);
    assert_eq!(status(83).await, unknown);
}

#[tokio::test]
async fn after_a_silent_outproxy_the_next_is_tried_within_the_limit() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = two(&bridge).await;
    a.set_answer(Answer::Silent);
    pause();
    let start = Instant::now();
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b");
    assert_eq!(start.elapsed().as_secs(), 40);
    assert_eq!(routed.status("a").faults, BTreeMap::from([(Fault::TimedOut, 1)]));
    // One that answers and is slow afterwards may be waiting for its target: that does not count against it.
    a.set_answer(Answer::Slow);
    assert_eq!(routed.outproxy_for("example.org", 80).await.unwrap(), "b");
    assert_eq!((routed.status("a").declined, a.requests().len()), (1, 2));
}

/// No client waits longer than the limit for dialling, and the reply says that the outproxies failed.
#[tokio::test]
async fn if_all_outproxies_are_silent_the_request_fails_within_the_limit() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    a.set_answer(Answer::Silent);
    b.set_answer(Answer::Drip(0x05));
    pause();
    let start = Instant::now();
    assert_eq!(routed.outproxy_for("example.com", 80).await, Err(4));
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    assert_eq!((a.requests().len(), b.requests().len()), (1, 1));
}

/// Each outproxy gets a share of the limit, and the reply is not that the limit was reached.
#[tokio::test]
async fn a_short_limit_is_divided_among_the_outproxies() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let definitions = vec![a.over_tcp(Socks5), b.over_tcp(Socks5)];
    let dial = Duration::from_secs(12);
    let routed = routed_within(&bridge, all_via(&["a", "b"]), definitions, dial).await;
    a.set_answer(Answer::Silent);
    pause();
    let start = Instant::now();
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b");
    assert_eq!(start.elapsed().as_secs(), 4);
    b.set_answer(Answer::Silent);
    let start = Instant::now();
    assert_eq!(routed.outproxy_for("example.org", 80).await, Err(4));
    assert!(start.elapsed() < dial, "{:?}", start.elapsed());
}

#[tokio::test]
async fn if_the_target_is_at_fault_no_other_outproxy_is_tried() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    for (code, expected) in [(4, 4), (5, 5), (6, 6), (0xf0, 4), (0xf2, 5), (0xf4, 4), (0xf6, 1), (0xf7, 6)] {
        for _ in 0..4 {
            a.set_answer(refusal(code));
            assert_eq!(routed.outproxy_for("example.com", 80).await, Err(expected), "{code:#x}");
        }
    }
    assert!(b.requests().is_empty());
    let status = routed.status("a");
    assert_eq!((status.attempts, status.target_failures, status.ejections), (32, 32, 0));
}

#[tokio::test]
async fn http_statuses_tell_whose_fault_it_is() {
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
        a.set_answer(Answer::Http(head));
        // A different host each time, since a host stays with its outproxy.
        let host = format!("{}.example", head.split(' ').nth(1).unwrap());
        assert_eq!(routed.outproxy_for(&host, 80).await, expected.map(str::to_owned), "{head}");
    }
    let status = routed.status("a");
    assert_eq!((status.target_failures, status.declined), (2, 2));
    assert_eq!(status.faults, BTreeMap::from([(Fault::Credentials, 1)]));
}

/// Clients can provoke these answers by their requests, so no outproxy is set aside for them.
#[tokio::test]
async fn after_a_declined_request_the_next_is_tried_and_nothing_counts_against_the_outproxy() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    for code in [1, 2, 3, 8, 0x5b] {
        for round in 0..4 {
            a.set_answer(refusal(code));
            let host = format!("host-{code}-{round}.example");
            assert_eq!(routed.outproxy_for(&host, 80).await.unwrap(), "b", "{code}");
        }
    }
    let status = routed.status("a");
    assert_eq!((status.declined, status.ejections, status.ejected_for), (20, 0, None));
    b.set_answer(refusal(1));
    assert_eq!(routed.outproxy_for("example.com", 80).await, Err(4), "none connected");
}

#[tokio::test]
async fn a_target_stays_with_the_outproxy_that_served_it() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = two(&bridge).await;
    a.set_answer(Answer::Close);
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b");
    a.set_answer(GRANTED);
    for port in [80, 443] {
        assert_eq!(
            routed.outproxy_for("example.com", port).await.unwrap(),
            "b",
            "the first works again, but the target stays"
        );
    }
    assert_eq!(routed.outproxy_for("example.org", 80).await.unwrap(), "a", "other targets go to the first");
    let somebody_else = Some(("other", "client"));
    assert_eq!(
        routed.outproxy_for_user("example.com", 80, somebody_else).await.unwrap(),
        "a",
        "and so do requests of other clients"
    );
    routed.outproxies.renew();
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "a", "a new identity chooses again");
}

/// Otherwise routes by port would only work for the first port.
#[tokio::test]
async fn a_target_chooses_separately_for_each_list_of_outproxies() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routes = vec![route("*", "80", &["a", "b"]), route("*", "443", &["b", "a"])];
    let routed = routed(&bridge, routes, vec![a.over_tcp(Socks5), b.over_tcp(Socks5)]).await;
    for (port, expected) in [(80, "a"), (443, "b"), (80, "a")] {
        assert_eq!(routed.outproxy_for("example.com", port).await.unwrap(), expected, "{port}");
    }
}

#[tokio::test]
async fn repeated_failures_set_an_outproxy_aside_for_longer_each_time() {
    let bridge = TestBridge::start().await;
    let (a, _b, routed) = two(&bridge).await;
    a.set_answer(Answer::Close);
    let ask = async |number: u32| {
        let host = format!("host-{number}.example");
        assert_eq!(routed.outproxy_for(&host, 80).await.unwrap(), "b");
        a.take_request_count()
    };
    for number in 0..3 {
        assert_eq!(ask(number).await, 1, "it is tried first, {number}");
    }
    let status = routed.status("a");
    assert_eq!((status.ejections, status.ejected_for, status.ejected_for_some.is_some()), (0, None, true));
    assert_eq!(ask(3).await, 0, "it is set aside");
    pass(Duration::from_secs(61)).await;
    assert_eq!(routed.status("a").ejected_for_some, None);
    assert_eq!(ask(4).await, 1, "it is tried again");
    assert_eq!(ask(5).await, 0, "one failure sets it aside again");
    pass(Duration::from_secs(61)).await;
    assert_eq!(ask(6).await, 0, "it is set aside for twice as long");
    pass(Duration::from_secs(60)).await;
    a.set_answer(GRANTED);
    assert_eq!(routed.outproxy_for("last.example", 80).await.unwrap(), "a");
    let status = routed.status("a");
    assert_eq!((status.successes, status.ejected_for_some), (1, None));
    assert_eq!(status.faults, BTreeMap::from([(Fault::Closed, 4)]));
}

#[tokio::test]
async fn if_all_outproxies_are_set_aside_they_are_tried_anyway() {
    let bridge = TestBridge::start().await;
    let (a, b, routed) = two(&bridge).await;
    a.set_answer(Answer::Close);
    b.set_answer(Answer::Close);
    for _ in 0..3 {
        assert_eq!(routed.outproxy_for("example.com", 80).await, Err(4));
    }
    assert!(["a", "b"].iter().all(|name| routed.status(name).ejected_for_some.is_some()));
    b.set_answer(GRANTED);
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b");
    a.take_request_count();
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "b");
    assert_eq!(a.take_request_count(), 0, "b works again, so a is skipped");
}

/// Failures of our router do not count against an outproxy, and outproxies outside I2P work without a router.
#[tokio::test]
async fn a_dead_router_does_not_count_against_an_outproxy() {
    let mut bridge = TestBridge::start().await;
    let (a, b, c) =
        (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await, Exit::start("c", GRANTED).await);
    let routes = vec![route("*", "80", &["a", "b"]), route("*", "81", &["a", "b", "c"])];
    let definitions = vec![a.in_i2p(Socks5), b.in_i2p(Socks5), c.over_tcp(Socks5)];
    let routed = routed(&bridge, routes, definitions).await;
    bridge.kill().await;
    for _ in 0..3 {
        assert_eq!(routed.outproxy_for("example.com", 80).await, Err(1), "the router is away");
    }
    assert_eq!(routed.outproxy_for("example.com", 81).await.unwrap(), "c");
    let status = routed.status("a");
    assert_eq!((status.router_failures, status.ejections, status.faults.len()), (4, 0, 0));
    assert_eq!(routed.status("b").attempts, 0, "it needs the same router");
}

/// Building tunnels takes minutes, longer than the limit for a silent outproxy.
#[tokio::test]
async fn waiting_for_our_own_session_is_not_counted_against_an_outproxy() {
    let bridge = TestBridge::start().await;
    let (a, b) = (Exit::start("a", GRANTED).await, Exit::start("b", GRANTED).await);
    let routed = routed(&bridge, all_via(&["a", "b"]), vec![a.in_i2p(Socks5), b.in_i2p(Socks5)]).await;
    // The first client has the session that was built at the start.
    assert_eq!(routed.outproxy_for("example.com", 80).await.unwrap(), "a");
    bridge.on("SESSION CREATE", Act::late(Duration::from_secs(60)));
    pause();
    let new_client = Some(("new", "client"));
    assert_eq!(routed.outproxy_for_user("example.com", 80, new_client).await.unwrap(), "a");
    assert!(routed.status("a").faults.is_empty() && b.requests().is_empty());
}
