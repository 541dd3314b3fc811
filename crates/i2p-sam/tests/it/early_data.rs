//! Early data: streams that are reported as connected before the far end has answered, where the router supports it.

use i2p_name::I2pName;
use i2p_sam::{Bridge, Error, Phase, ResultWord, Session, SessionOptions};
use sam_testkit::{Dialect, Endpoint, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn session(kit: &TestBridge, options: SessionOptions) -> Session {
    Bridge::new(kit.address()).create_session(&options).await.unwrap()
}

/// A session that accepts nothing: Java I2P resets streams to it.
async fn nobody(kit: &TestBridge) -> (Session, I2pName) {
    let session = session(kit, SessionOptions::default()).await;
    let name = session.destination().clone().into();
    (session, name)
}

fn early_data() -> SessionOptions {
    SessionOptions::default().early_data(true)
}

fn name(name: &str) -> I2pName {
    I2pName::parse(name).unwrap()
}

fn unreachable(error: &Error) -> bool {
    let expected = ResultWord::CantReachPeer;
    matches!(error, Error::Refused { phase: Phase::StreamConnect, result, .. } if *result == expected)
}

#[tokio::test]
async fn a_far_end_that_refuses_ends_the_stream_and_is_no_error() {
    let kit = TestBridge::start().await;
    kit.host("echo.i2p", Endpoint::Echo);
    let (_kept, nobody) = nobody(&kit).await;
    let error = session(&kit, SessionOptions::default()).await.connect(&nobody, 80).await.unwrap_err();
    assert!(unreachable(&error), "{error}");
    for lend in [false, true] {
        let session = session(&kit, early_data().lend(lend)).await;
        let mut stream = session.connect(&nobody, 80).await.unwrap();
        // A stream that is closed with unread data may be reset.
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "{lend}");
        // A name that the router's address book lacks is still an error.
        let error = session.connect(&name("unknown.i2p"), 80).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { result: ResultWord::InvalidKey, .. }), "{error}");
        let mut echo = session.connect(&name("echo.i2p"), 80).await.unwrap();
        echo.write_all(b"early").await.unwrap();
        let mut back = [0; 5];
        echo.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"early");
    }
}

#[tokio::test]
async fn only_java_is_asked_for_early_data() {
    for (dialect, asked) in [
        (Dialect::Java, true),
        (Dialect::I2pd245, false),
        (Dialect::I2pd259, false),
        (Dialect::Emissary, false),
    ] {
        let kit = TestBridge::start_as(dialect).await;
        let session = session(&kit, early_data()).await;
        assert_eq!(session.capabilities().early_data(), asked, "{dialect:?}");
        let commands = kit.commands();
        let create = commands.iter().find(|line| line.starts_with("SESSION CREATE")).unwrap();
        assert_eq!(create.contains("connectDelay"), asked, "{dialect:?}: {create}");
    }
}
