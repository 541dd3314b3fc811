//! A session keeps the router that made it, even when another router answers at the bridge later.

use i2p_sam::{Bridge, Dialect, SessionOptions};
use sam_testkit::{Act, TestBridge};

#[tokio::test]
async fn a_session_keeps_its_router_when_another_answers() {
    let kit = TestBridge::start().await;
    let bridge = Bridge::new(kit.address());
    let options = SessionOptions::default();
    let older = bridge.create_session(&options).await.unwrap();
    assert_eq!(older.capabilities().dialect(), Dialect::Standard);

    // From now on the bridge answers like i2pd.
    kit.on("NAMING LOOKUP NAME=x", [Act::line("NAMING REPLY RESULT=INVALID_KEY NAME=x")]);
    assert_eq!(bridge.capabilities().await.unwrap(), older.capabilities(), "it is not asked again");
    assert_eq!(bridge.probe().await.unwrap().dialect(), Dialect::I2pd);
    let newer = bridge.create_session(&options).await.unwrap();
    assert_eq!(newer.router().capabilities().dialect(), Dialect::I2pd);
    assert_eq!(older.router().capabilities().dialect(), Dialect::Standard);

    // A session that is opened from another one is made by the same router.
    let sibling = older.router().create_session(&options).await.unwrap();
    assert_eq!(sibling.capabilities(), older.capabilities());
}

#[tokio::test]
async fn a_changed_bridge_asks_its_router_again() {
    let kit = TestBridge::start().await;
    let bridge = Bridge::new(kit.address());
    let asked = || kit.commands().iter().filter(|line| line.starts_with("NAMING LOOKUP NAME=x")).count();
    bridge.router().await.unwrap();
    bridge.clone().router().await.unwrap();
    assert_eq!(asked(), 1, "clones share what was learned");
    bridge.with_spares(1).router().await.unwrap();
    assert_eq!(asked(), 2);
}

/// The test kit ends the connection of a session that would crash i2pd 2.45.
#[tokio::test]
async fn post_quantum_encryption_is_asked_for_where_the_router_accepts_it() {
    for (dialect, expected) in [
        (sam_testkit::Dialect::I2pd245, "4,0"),
        (sam_testkit::Dialect::I2pd256, "4,0"),
        (sam_testkit::Dialect::I2pd259, "6,4"),
        (sam_testkit::Dialect::Java, "6,4"),
        (sam_testkit::Dialect::Emissary, "6,4"),
    ] {
        let kit = TestBridge::start_as(dialect).await;
        let bridge = Bridge::new(kit.address());
        bridge.create_session(&SessionOptions::default()).await.unwrap();
        let create = kit.commands().into_iter().find(|line| line.starts_with("SESSION CREATE")).unwrap();
        assert!(create.contains(&format!(" i2cp.leaseSetEncType={expected} ")), "{dialect:?}: {create}");
    }
}

/// As Java I2P 2.7.0 answers.
#[tokio::test]
async fn a_router_that_does_not_know_post_quantum_encryption_is_asked_without_it_from_then_on() {
    const REFUSAL: &str = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Error creating I2PSocketManager: [x(CLOSED)]: Failed to \
                           build tunnels - Disconnected from router while waiting for tunnels: Unsupported crypto type: 6\"";
    let kit = TestBridge::start_as(sam_testkit::Dialect::Java).await;
    kit.once("SESSION CREATE", [Act::line(REFUSAL)]);
    let bridge = Bridge::new(kit.address());
    for _ in 0..2 {
        bridge.create_session(&SessionOptions::default()).await.unwrap();
    }
    let commands = kit.commands();
    let creates = commands.iter().filter(|line| line.starts_with("SESSION CREATE"));
    let word =
        |line: &str, key: &str| line.split(' ').find_map(|pair| pair.strip_prefix(key)).unwrap().to_owned();
    let asked: Vec<_> =
        creates.map(|line| (word(line, "i2cp.leaseSetEncType="), word(line, "ID="))).collect();
    let types: Vec<_> = asked.iter().map(|(types, _)| types.as_str()).collect();
    assert_eq!(types, ["6,4", "4,0", "4,0"]);
    assert_ne!(asked[0].1, asked[1].1, "the first ID stays taken");

    // Another reason is no reason to ask again.
    kit.once("SESSION CREATE", [Act::line("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"tunnels failed\"")]);
    Bridge::new(kit.address()).create_session(&SessionOptions::default()).await.unwrap_err();
}

/// A server that is not published is not found, and a client that is published can be found by everybody.
#[tokio::test]
async fn a_lease_set_is_published_or_hidden_as_the_router_reads_the_option() {
    for (dialect, published, hidden) in [
        (sam_testkit::Dialect::I2pd245, Some("false"), Some("true")),
        (sam_testkit::Dialect::I2pd256, Some("false"), Some("true")),
        (sam_testkit::Dialect::I2pd259, None, Some("false")),
        (sam_testkit::Dialect::Java, Some("false"), Some("true")),
        (sam_testkit::Dialect::Emissary, Some("false"), Some("true")),
    ] {
        let kit = TestBridge::start_as(dialect).await;
        let bridge = Bridge::new(kit.address());
        for (publish, expected) in [(true, published), (false, hidden)] {
            bridge.create_session(&SessionOptions::default().publish(publish)).await.unwrap();
            let create = kit.commands().into_iter().rfind(|line| line.starts_with("SESSION CREATE")).unwrap();
            let value = create.split(' ').find_map(|pair| pair.strip_prefix("i2cp.dontPublishLeaseSet="));
            assert_eq!(value.map(str::trim_end), expected, "{dialect:?}: {create}");
        }
    }
}
