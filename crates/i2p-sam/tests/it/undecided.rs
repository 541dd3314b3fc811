//! A bridge that is known later: nothing fails for good meanwhile, and nothing is repeated.

use std::time::Duration;

use i2p_sam::{BackOff, Bridge, Error, Identity, SessionOptions, SessionState, Supervised, Timeouts};
use sam_testkit::TestBridge;
use tokio::time::timeout;

#[tokio::test]
async fn requests_fail_until_it_is_decided_and_then_reach_the_bridge() {
    let kit = TestBridge::start().await;
    let bridge = Bridge::undecided();
    let clone = bridge.clone();
    assert!(!clone.is_decided());
    let error = clone.create_session(&SessionOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NotDecided) && error.is_unreachable(), "{error}");
    let hello = Duration::from_secs(7);
    let found = Bridge::new(kit.address()).with_timeouts(Timeouts { hello, ..Timeouts::default() });
    found.capabilities().await.unwrap();
    let asked = kit.accepted_connections();
    bridge.decide(&found);
    assert!(clone.is_decided());
    assert_eq!((clone.address(), clone.timeouts().hello), (found.address(), hello));
    clone.capabilities().await.unwrap();
    assert_eq!(kit.accepted_connections(), asked, "what was learned of the router is kept");
    bridge.decide(&Bridge::new("nowhere:1"));
    assert_eq!(clone.address(), found.address(), "the first decision counts");
    assert!(clone.create_session(&SessionOptions::default()).await.unwrap().is_alive());
}

/// The decision ends the wait at once, also that of a session for nobody yet, which waits longer between attempts.
#[tokio::test]
async fn a_supervised_session_waits_for_the_decision_as_for_a_router_that_is_away() {
    let kit = TestBridge::start().await;
    let bridge = Bridge::undecided();
    let minutes = Duration::from_secs(600);
    let back_off = BackOff { first: minutes, unreachable: minutes, refused: minutes, unasked: minutes };
    let supervised = Supervised::start(bridge.clone(), SessionOptions::default(), Identity::New, back_off);
    let mut state = supervised.state();
    let waiting =
        state.wait_for(|state| matches!(state, SessionState::Waiting { .. })).await.unwrap().clone();
    let SessionState::Waiting { failures: 0, error, .. } = waiting else { panic!("{waiting:?}") };
    assert!(matches!(*error, Error::NotDecided), "{error}");
    bridge.decide(&Bridge::new(kit.address()));
    let ready = state.wait_for(|state| matches!(state, SessionState::Ready(_)));
    timeout(Duration::from_secs(30), ready).await.expect("it begins at once").unwrap();
}
