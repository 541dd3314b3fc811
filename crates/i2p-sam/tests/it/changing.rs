//! A bridge whose address changes: connections follow it, and reach no other program.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use i2p_sam::{Bridge, ChangingAddress, SessionOptions};
use sam_testkit::TestBridge;

#[tokio::test]
async fn connections_follow_the_address_and_fail_while_there_is_none() {
    let (first, second) = (TestBridge::start().await, TestBridge::start().await);
    let address = ChangingAddress::new("our router");
    let bridge = Bridge::new(address.clone());
    for kit in [&first, &second] {
        let error = bridge.probe().await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        assert!(error.to_string().starts_with("no SAM bridge answers at our router: "), "{error}");
        address.set(kit.address().parse().unwrap(), || true);
        let session = bridge.create_session(&SessionOptions::default()).await.unwrap();
        assert!(session.is_alive());
        address.clear();
    }
    assert_eq!(address.get(), None);
    assert_eq!((first.accepted_connections() > 0, second.accepted_connections() > 0), (true, true));
}

#[tokio::test]
async fn nothing_is_sent_to_a_program_that_has_taken_the_port() {
    let kit = TestBridge::start().await;
    let address = ChangingAddress::new("our router");
    let bridge = Bridge::new(address.clone());
    let ours = Arc::new(AtomicBool::new(true));
    let still_listens = Arc::clone(&ours);
    address.set(kit.address().parse().unwrap(), move || still_listens.load(Relaxed));
    bridge.probe().await.unwrap();
    let before = kit.commands();
    ours.store(false, Relaxed);
    let error = bridge.create_session(&SessionOptions::default()).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("another program"), "{error}");
    assert_eq!(kit.commands(), before);
}
