//! Connections that are kept ready: a request begins with its command, and one that was closed meanwhile costs nobody anything.

use std::time::Duration;

use i2p_name::{HostName, I2pName};
use i2p_sam::{Bridge, Error, Phase, Session, SessionOptions, Timeouts};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use tokio::time::{Instant, sleep};

struct Client {
    bridge: TestBridge,
    client: Bridge,
    session: Session,
}

impl Client {
    async fn start(dialect: Dialect) -> Self {
        let bridge = TestBridge::start_as(dialect).await;
        bridge.host("known.i2p", Endpoint::Echo);
        let hello = Duration::from_secs(3);
        let client = Bridge::new(bridge.address())
            .with_timeouts(Timeouts { hello, ..Timeouts::default() })
            .with_spares(2);
        let session = client.create_session(&SessionOptions::default()).await.unwrap();
        Self { bridge, client, session }
    }

    async fn connect(&self) {
        self.session.connect(&I2pName::parse("known.i2p").unwrap(), 80).await.unwrap();
    }

    /// Requests until a connection is kept.
    async fn keep_one(&self) {
        assert_eq!(self.client.spares(), 0);
        self.connect().await;
        self.connect().await;
        self.kept(1).await;
    }

    /// Comes back when so many are kept, before any of them is too old.
    async fn kept(&self, count: usize) {
        let begin = Instant::now();
        while self.client.spares() != count {
            assert!(begin.elapsed() < Duration::from_secs(3), "{} of {count}", self.client.spares());
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_request_begins_with_its_command() {
    for dialect in [Dialect::Java, Dialect::I2pd, Dialect::Emissary] {
        let client = Client::start(dialect).await;
        client.keep_one().await;
        // Whoever says HELLO now waits in vain.
        client.bridge.on("HELLO", [Act::Hang]);
        client.connect().await;
    }
}

#[tokio::test]
async fn so_does_a_lookup() {
    let client = Client::start(Dialect::Java).await;
    client.keep_one().await;
    client.bridge.on("HELLO", [Act::Hang]);
    let name: HostName = "known.i2p".parse().unwrap();
    client.session.lookup(&name).await.unwrap();
}

#[tokio::test]
async fn one_that_the_router_closes_in_the_very_moment_of_the_request_is_replaced() {
    let client = Client::start(Dialect::Java).await;
    client.keep_one().await;
    client.bridge.once("STREAM CONNECT", [Act::Close]);
    client.connect().await;
    let connects = client.bridge.commands().iter().filter(|line| line.starts_with("STREAM CONNECT")).count();
    assert_eq!(connects, 4, "the last one twice");
}

#[tokio::test]
async fn a_new_one_that_the_router_closes_is_not() {
    let client = Client::start(Dialect::Emissary).await;
    client.bridge.once("STREAM CONNECT", [Act::Close]);
    let error = client.session.connect(&I2pName::parse("known.i2p").unwrap(), 80).await.unwrap_err();
    assert!(matches!(error, Error::Closed { phase: Phase::StreamConnect }), "{error}");
}

#[tokio::test]
async fn they_go_with_the_session_of_a_router_that_goes() {
    let client = Client::start(Dialect::I2pd).await;
    client.keep_one().await;
    client.bridge.drop_control_connections();
    client.session.lost().await;
    client.kept(0).await;
}
