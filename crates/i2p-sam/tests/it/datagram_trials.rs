//! Kinds of datagrams of which the router's version does not tell: the router is asked once.

use i2p_sam::{Bridge, DatagramStyle, DatagramSupport, Error, Ports, ResultWord, SessionOptions};
use sam_testkit::{Dialect, TestBridge};

const STYLES: [DatagramStyle; 2] = [DatagramStyle::Datagram2, DatagramStyle::Datagram3];

fn bridge_of(kit: &TestBridge) -> Bridge {
    Bridge::new(kit.address()).with_udp_address(kit.udp_address().parse().unwrap())
}

fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Refused { result: ResultWord::I2pError, message: Some(words), .. }
        if words == "Unrecognized SESSION STYLE")
}

#[tokio::test]
async fn a_refusal_is_remembered_in_the_routers_words() {
    let kit = TestBridge::start_as(Dialect::Java).await;
    let bridge = bridge_of(&kit);
    for (asked, style) in (1..).zip(STYLES) {
        for _ in 0..3 {
            let options = SessionOptions::default();
            let error = bridge.create_datagram_session(style, Ports::default(), &options).await.unwrap_err();
            assert!(is_refused(&error), "{error}");
        }
        assert_eq!(kit.times("SESSION CREATE").len(), asked, "it is asked once");
    }
    assert!(kit.commands().iter().any(|line| line.contains("inbound.length=0 outbound.length=0")));
    assert!(kit.commands().iter().any(|line| line.contains("i2cp.dontPublishLeaseSet=true")));
    // A subsession is not asked for either.
    let primary = bridge.create_primary(&SessionOptions::default()).await.unwrap();
    let error = primary.add_datagrams(DatagramStyle::Datagram2, Ports::default()).await.unwrap_err();
    assert!(is_refused(&error), "{error}");
    assert!(kit.times("SESSION ADD").is_empty());
}

#[tokio::test]
async fn what_the_router_supports_is_tried_once_and_the_session_for_it_ends() {
    let kit = TestBridge::start_as(Dialect::Java).await;
    kit.newer_datagrams();
    let router = bridge_of(&kit).router().await.unwrap();
    assert_eq!(router.capabilities().datagram_support(DatagramStyle::Datagram2), DatagramSupport::NotKnown);
    router.try_datagrams(DatagramStyle::Datagram2).await.unwrap();
    router.try_datagrams(DatagramStyle::Datagram2).await.unwrap();
    assert_eq!(kit.times("SESSION CREATE").len(), 1);
    let options = SessionOptions::default();
    for sessions in 2..4 {
        let created = router.create_datagram_session(DatagramStyle::Datagram2, Ports::default(), &options);
        drop(created.await.unwrap());
        assert_eq!(kit.times("SESSION CREATE").len(), sessions);
    }
}

#[tokio::test]
async fn another_router_is_asked_again() {
    let mut kit = TestBridge::start_as(Dialect::Java).await;
    let bridge = bridge_of(&kit);
    let session = bridge.create_session(&SessionOptions::default()).await.unwrap();
    assert!(session.router().try_datagrams(DatagramStyle::Datagram2).await.is_err());
    kit.kill().await;
    session.lost().await;
    kit.restart().await;
    kit.newer_datagrams();
    let router = bridge.router().await.unwrap();
    router.try_datagrams(DatagramStyle::Datagram2).await.unwrap();
}

#[tokio::test]
async fn nothing_is_asked_where_the_version_tells() {
    for dialect in [Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary] {
        let kit = TestBridge::start_as(dialect).await;
        let router = bridge_of(&kit).router().await.unwrap();
        for style in STYLES {
            let supported = dialect == Dialect::I2pd259;
            assert_eq!(router.try_datagrams(style).await.is_ok(), supported, "{dialect:?}");
        }
        assert!(kit.times("SESSION CREATE").is_empty());
    }
}
