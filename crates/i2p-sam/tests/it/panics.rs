//! A panic in the task of a session ends this session, as the router's end of it does, and no other.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use i2p_sam::{Bridge, SessionOptions};
use sam_testkit::{Dialect, TestBridge};
use tokio::time::timeout;

/// Panics when it is woken, and so in the task that has the answer.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("a bug");
    }
}

#[tokio::test]
async fn a_session_is_lost_after_a_panic_in_its_task() {
    // With emissary, lookups are made by the task of the session.
    let kit = TestBridge::start_as(Dialect::Emissary).await;
    let bridge = Bridge::new(kit.address());
    let session = bridge.create_session(&SessionOptions::default()).await.unwrap();
    let other = bridge.create_session(&SessionOptions::default()).await.unwrap();
    let name = "known.i2p".parse().unwrap();
    let mut lookup = pin!(session.lookup(&name));
    let waker = Waker::from(Arc::new(PanickingWaker));
    assert!(lookup.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    timeout(Duration::from_secs(10), session.lost()).await.unwrap();
    assert!(!session.is_alive());
    other.lookup(&name).await.unwrap();
    assert!(other.is_alive());
}
