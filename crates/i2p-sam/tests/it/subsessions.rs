//! Subsessions of a router that answers late.

use std::time::Duration;

use i2p_sam::{Bridge, Error, Phase, PrimarySession, SessionOptions, Timeouts};
use sam_testkit::{Act, TestBridge};
use tokio::time::{sleep, timeout};

/// How long the client waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(600);
/// When the late answer arrives.
const LATE: Duration = Duration::from_millis(900);

async fn primary(bridge: &TestBridge) -> PrimarySession {
    let timeouts = Timeouts { naming_lookup: ANSWER_TIMEOUT, ..Timeouts::default() };
    let bridge = Bridge::new(bridge.address()).with_timeouts(timeouts);
    bridge.create_primary(&SessionOptions::default()).await.unwrap()
}

fn sent(bridge: &TestBridge, command: &str) -> Vec<String> {
    bridge.commands().into_iter().filter(|sent| sent.starts_with(command)).collect()
}

async fn until(condition: impl Fn() -> bool) {
    let begin = tokio::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "the condition stays false");
        sleep(Duration::from_millis(5)).await;
    }
}

fn id(command: &str) -> &str {
    command.split(' ').find_map(|word| word.strip_prefix("ID=")).unwrap()
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_the_next_and_its_subsession_is_removed() {
    let bridge = TestBridge::start().await;
    let primary = primary(&bridge).await;
    bridge.once("SESSION ADD", Act::late(LATE));
    let refusal = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"not this one\"";
    bridge.once("SESSION ADD", [Act::line(refusal)]);
    let error = primary.add_streams(1).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::SessionAdd, .. }), "{error}");
    let error = primary.add_streams(2).await.unwrap_err();
    assert!(matches!(error, Error::Refused { phase: Phase::SessionAdd, .. }), "{error}");
    until(|| !sent(&bridge, "SESSION REMOVE").is_empty()).await;
    let added = sent(&bridge, "SESSION ADD");
    let removed = sent(&bridge, "SESSION REMOVE");
    assert_eq!(id(added.first().unwrap()), id(removed.first().unwrap()));
    primary.add_streams(1).await.unwrap();
}

#[tokio::test]
async fn a_late_refusal_does_not_end_the_session() {
    let bridge = TestBridge::start().await;
    let primary = primary(&bridge).await;
    let _first = primary.add_streams(1).await.unwrap();
    bridge.once("SESSION ADD", Act::late(LATE));
    // The same port again.
    let error = primary.add_streams(1).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::SessionAdd, .. }), "{error}");
    sleep(LATE).await;
    primary.add_streams(2).await.unwrap();
    assert!(primary.is_alive());
}

#[tokio::test]
async fn a_subsession_whose_caller_gave_up_is_removed() {
    let bridge = TestBridge::start().await;
    let primary = primary(&bridge).await;
    bridge.once("SESSION ADD", Act::late(ANSWER_TIMEOUT / 4));
    let given_up = timeout(ANSWER_TIMEOUT / 8, primary.add_streams(1)).await;
    assert!(given_up.is_err());
    until(|| !sent(&bridge, "SESSION REMOVE").is_empty()).await;
    primary.add_streams(1).await.unwrap();
}
