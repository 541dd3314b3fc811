//! Every answer of a router, in the words of each implementation, and the reply that a client gets.
//!
//! The lines were recorded from running routers, or are in the specification without any router known to send them.

use std::time::Duration;

use i2p_name::VirtualOptions;
use i2p_sam::{BackOff, Bridge};
use i2p_tunnel::{
    AddressPool, Limits, PoolOptions, SamDialler, Service, SessionLimits, SessionPolicy, SessionPool,
};
use sam_testkit::{Act, Dialect, TestBridge};

use crate::common::{Proxy, b32, proxy_of, start_service};

const ALL_ROUTERS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];

async fn proxy(bridge: &TestBridge) -> Proxy {
    let limit = Duration::from_millis(300);
    let limits = Limits { half_close: limit, linger: limit, ..Limits::default() };
    proxy_of(bridge, limits, PoolOptions::default(), SessionPolicy::default()).await
}

/// The SOCKS5 reply code. Checks that SOCKS4a succeeds or fails alike.
async fn codes(proxy: &Proxy, host: &str) -> u8 {
    let socks5 = proxy.socks5(host, 80).await.1;
    let socks4 = proxy.socks4a(host, 80).await.1;
    assert_eq!(socks4, if socks5 == 0 { 90 } else { 91 }, "SOCKS5 said {socks5}");
    socks5
}

#[tokio::test]
async fn healthy_routers_give_the_same_codes() {
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge).await;
        assert_eq!(codes(&proxy, "echo.i2p").await, 0, "{dialect:?}, connected");
        assert_eq!(codes(&proxy, "unknown.i2p").await, 4, "{dialect:?}, a name in no address book");
        assert_eq!(codes(&proxy, &b32()).await, 4, "{dialect:?}, a hash without lease set");
    }
}

#[tokio::test]
async fn answers_to_stream_connect_have_their_codes() {
    let table: [(&[Dialect], &str, u8); 25] = [
        (&ALL_ROUTERS, "STREAM STATUS RESULT=CANT_REACH_PEER\n", 4),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=I2P_ERROR\n", 1),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=TIMEOUT\n", 6),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=INVALID_ID\n", 1),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=INVALID_KEY\n", 4),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=PEER_NOT_FOUND\n", 4),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=KEY_NOT_FOUND\n", 4),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=LEASESET_NOT_FOUND\n", 4),
        (&ALL_ROUTERS, "STREAM STATUS RESULT=WORD_OF_THE_FUTURE\n", 1),
        (&ALL_ROUTERS, "STREAM STATUS\n", 0),
        (&ALL_ROUTERS, "", 1),
        (&[Dialect::Java], "STREAM STATUS RESULT=INVALID_KEY MESSAGE=\"Lease set not found: x\"\n", 4),
        (&[Dialect::Java], "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection reset\"\n", 5),
        (&[Dialect::Java], "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection timed out\"\n", 6),
        (&[Dialect::Java], "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection failed\"\n", 4),
        (
            &[Dialect::Java],
            "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Destination lease set expired\"\n",
            4,
        ),
        (&[Dialect::Java], "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Local router failure\"\n", 1),
        (&[Dialect::Java], "STREAM STATUS RESULT=CONNECTION_REFUSED\n", 5),
        (&[Dialect::Java], "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"bad port\"\n", 1),
        (&[Dialect::I2pd245], "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"LeaseSet not found\"\n", 4),
        (&[Dialect::I2pd245], "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Incompatible crypto\"\n", 4),
        (
            &[Dialect::I2pd245],
            "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Can't connect to myself\"\n",
            4,
        ),
        (&[Dialect::I2pd245], "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Socket already in use\"\n", 1),
        (&[Dialect::Emissary], "STREAM STATUS RESULT=CANT_REACH_PEER", 4),
        (&[Dialect::Emissary], "NAMING REPLY RESULT=OK NAME=x VALUE=x\n", 1),
    ];
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge).await;
        for (_, answer, expected) in table.iter().filter(|(whose, _, _)| whose.contains(&dialect)) {
            let acts = match expected {
                0 => vec![Act::Send(answer.as_bytes().to_vec()), Act::Echo],
                _ => vec![Act::Send(answer.as_bytes().to_vec()), Act::Close],
            };
            bridge.on("STREAM CONNECT", acts);
            assert_eq!(codes(&proxy, &b32()).await, *expected, "{dialect:?}, {answer:?}");
        }
    }
}

#[tokio::test]
async fn answers_to_naming_lookup_have_their_codes() {
    let answers = [
        ("RESULT=KEY_NOT_FOUND NAME={NAME}", 4),
        ("RESULT=INVALID_KEY NAME={NAME}", 4),
        ("RESULT=LEASESET_NOT_FOUND NAME={NAME}", 4),
        ("RESULT=PEER_NOT_FOUND NAME={NAME}", 4),
        ("RESULT=I2P_ERROR NAME={NAME}", 1),
        ("RESULT=WORD_OF_THE_FUTURE NAME={NAME}", 1),
        ("RESULT=OK NAME={NAME}", 1),
        ("RESULT=OK NAME={NAME} VALUE=AAAA", 1),
    ];
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge).await;
        for (number, (answer, expected)) in answers.into_iter().enumerate() {
            // A new name each time, since answers are cached.
            let name = format!("asked-{number}.i2p");
            bridge.on(&format!("NAMING LOOKUP NAME={name}"), [Act::line(&format!("NAMING REPLY {answer}"))]);
            assert_eq!(codes(&proxy, &name).await, expected, "{dialect:?}, {answer}");
        }
    }
}

/// Starts a proxy without waiting for its first session, with short limits for sessions.
async fn proxy_without_session(bridge: &TestBridge) -> Proxy {
    let limit = Duration::from_millis(150);
    let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
    let pool =
        SessionPool::new(Bridge::new(bridge.address()), PoolOptions { back_off, ..PoolOptions::default() });
    let waits = SessionLimits { router: limit, tunnels: 3 * limit };
    let dialler = SamDialler::new(pool.clone()).with_limits(waits);
    let limits = Limits { linger: limit, ..Limits::default() };
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    start_service(Service::new("test", dialler, addresses).with_limits(limits), pool).await
}

#[tokio::test]
async fn answers_to_hello_and_session_create_have_their_codes() {
    for (command, answer, expected) in [
        ("HELLO", "HELLO REPLY RESULT=NOVERSION\n", 1),
        ("HELLO", "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Authorization failed\"\n", 1),
        ("HELLO", "HTTP/1.1 400 Bad Request\r\n", 1),
        ("HELLO", "", 1),
        ("SESSION CREATE", "SESSION STATUS RESULT=DUPLICATED_ID\n", 1),
        ("SESSION CREATE", "SESSION STATUS RESULT=DUPLICATED_DEST\n", 1),
        ("SESSION CREATE", "SESSION STATUS RESULT=DUPLICATE_DEST", 1),
        ("SESSION CREATE", "SESSION STATUS RESULT=INVALID_KEY\n", 1),
        ("SESSION CREATE", "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Unknown STYLE\"\n", 1),
        ("SESSION CREATE", "SESSION STATUS RESULT=OK\n", 1),
        ("SESSION CREATE", "", 1),
    ] {
        let bridge = TestBridge::start().await;
        bridge.on(command, [Act::Send(answer.as_bytes().to_vec()), Act::Close]);
        let proxy = proxy_without_session(&bridge).await;
        assert_eq!(codes(&proxy, "echo.i2p").await, expected, "{command}: {answer:?}");
        // Once the router behaves again, so does the proxy.
        bridge.on(command, [Act::Behave]);
        let mut attempts = 0;
        while proxy.socks5("echo.i2p", 80).await.1 != 0 {
            attempts += 1;
            assert!(attempts < 50, "{command}: {answer:?} the proxy does not recover");
        }
    }
}

#[tokio::test]
async fn tunnels_that_are_not_built_have_their_own_code() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Hang]);
    let proxy = proxy_without_session(&bridge).await;
    assert_eq!(codes(&proxy, "echo.i2p").await, 3);
}
