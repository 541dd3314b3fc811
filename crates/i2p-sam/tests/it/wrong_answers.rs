//! A program that takes the port of a router which is not running, and lies. What a name says of its destination is checked.

use i2p_name::{BlindedName, Destination, I2pName};
use i2p_sam::{Bridge, Error, Phase, SessionOptions};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};

const ALL_ROUTERS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];

/// Answers lookups with this destination.
fn answer_with(bridge: &TestBridge, destination: &Destination) {
    let answer = format!("NAMING REPLY RESULT=OK NAME={{NAME}} VALUE={} OPTION:a=b", destination.to_base64());
    bridge.on("NAMING LOOKUP", [Act::line(&answer)]);
}

#[tokio::test]
async fn a_destination_that_does_not_belong_to_the_address_is_refused() {
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let wanted: Destination = bridge.host("wanted.i2p", Endpoint::Echo).parse().unwrap();
        let other: Destination = bridge.host("other.i2p", Endpoint::Echo).parse().unwrap();
        let client = Bridge::new(bridge.address());
        let session = client.create_session(&SessionOptions::default()).await.unwrap();
        let blinded = BlindedName::of(&wanted).unwrap().with_client_key(true);
        for name in [I2pName::B32(wanted.b32()), I2pName::Blinded(blinded)] {
            answer_with(&bridge, &wanted);
            assert_eq!(session.destination_of(&name).await.unwrap(), wanted, "{dialect:?} {name:?}");
            answer_with(&bridge, &other);
            let error = session.destination_of(&name).await.unwrap_err();
            let is_refused = matches!(error, Error::WrongDestination { phase: Phase::NamingLookup });
            assert!(is_refused, "{dialect:?} {name:?}: {error}");
            assert!(session.is_alive(), "the session goes on");
            if dialect != Dialect::Emissary {
                let error = client.lookup(&name).await.unwrap_err();
                assert!(matches!(error, Error::WrongDestination { .. }), "{dialect:?} {name:?}: {error}");
                let error = client.lookup_options(&name).await.unwrap_err();
                assert!(matches!(error, Error::WrongDestination { .. }), "{dialect:?} {name:?}: {error}");
            }
        }
        // A host name says nothing of its destination.
        let host = session.lookup(&"wanted.i2p".parse().unwrap()).await.unwrap();
        assert_eq!(host, other, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_session_with_another_destination_than_that_of_its_keys_is_refused() {
    let bridge = TestBridge::start().await;
    let client = Bridge::new(bridge.address());
    let other = client.generate_keys().await.unwrap();
    let options = SessionOptions::default().private_key(sam_testkit::private_key().parse().unwrap());
    let answer = format!("SESSION STATUS RESULT=OK DESTINATION={}", other.as_str());
    bridge.once("SESSION CREATE", [Act::line(&answer)]);
    let error = client.create_session(&options).await.unwrap_err();
    assert!(matches!(error, Error::WrongDestination { phase: Phase::SessionCreate }), "{error}");
    let session = client.create_session(&options).await.unwrap();
    assert_eq!(session.destination().to_base64(), sam_testkit::destination());
}
