//! Spare connections: a request on one begins with its command, and one that was closed meanwhile is replaced.

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

    /// Connects streams until one spare is ready.
    async fn keep_one(&self) {
        assert_eq!(self.client.spares(), 0);
        self.connect().await;
        self.connect().await;
        self.spares(1).await;
    }

    /// Waits until this many spares are ready, before one of them is too old.
    async fn spares(&self, count: usize) {
        let begin = Instant::now();
        while self.client.spares() != count {
            assert!(begin.elapsed() < Duration::from_secs(3), "{} of {count}", self.client.spares());
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_stream_on_a_spare_needs_no_hello() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::Emissary] {
        let client = Client::start(dialect).await;
        client.keep_one().await;
        // A new connection would wait for ever for its HELLO.
        client.bridge.on("HELLO", [Act::Hang]);
        client.connect().await;
    }
}

#[tokio::test]
async fn a_lookup_on_a_spare_needs_no_hello() {
    let client = Client::start(Dialect::Java).await;
    client.keep_one().await;
    client.bridge.on("HELLO", [Act::Hang]);
    let name: HostName = "known.i2p".parse().unwrap();
    client.session.lookup(&name).await.unwrap();
}

#[tokio::test]
async fn a_spare_that_the_router_closes_at_the_request_is_replaced() {
    let client = Client::start(Dialect::Java).await;
    client.keep_one().await;
    client.bridge.once("STREAM CONNECT", [Act::Close]);
    client.connect().await;
    let connects = client.bridge.commands().iter().filter(|line| line.starts_with("STREAM CONNECT")).count();
    assert_eq!(connects, 4, "the last one twice");
}

#[tokio::test]
async fn a_new_connection_that_the_router_closes_is_an_error() {
    let client = Client::start(Dialect::Emissary).await;
    client.bridge.once("STREAM CONNECT", [Act::Close]);
    let error = client.session.connect(&I2pName::parse("known.i2p").unwrap(), 80).await.unwrap_err();
    assert!(matches!(error, Error::Closed { phase: Phase::StreamConnect }), "{error}");
}

#[tokio::test]
async fn spares_are_closed_when_the_router_closes_a_session() {
    let client = Client::start(Dialect::I2pd245).await;
    client.keep_one().await;
    client.bridge.drop_control_connections();
    client.session.lost().await;
    client.spares(0).await;
}
