//! Whether the router answers, while no open session shows it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use i2p_sam::Bridge;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long a result is reused. Scrapers that ask more often cost the router nothing.
const RESULT_LIFETIME: Duration = Duration::from_secs(3);
/// How long the router may take to answer a HELLO.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The last result of asking the router.
#[derive(Debug, Default)]
pub(super) struct RouterProbe {
    /// When it was asked last. Locked while it is asked, so that there is one question at a time.
    asked: Mutex<Option<Instant>>,
    missing: AtomicBool,
}

impl RouterProbe {
    /// Whether the router answered the last time.
    pub(super) fn is_answering(&self) -> bool {
        !self.missing.load(Ordering::Relaxed)
    }

    /// Forgets the result, because sessions show how the router is.
    pub(super) fn forget(&self) {
        self.missing.store(false, Ordering::Relaxed);
        // If a task asks it at this moment, that task gets a new result anyway.
        if let Ok(mut asked) = self.asked.try_lock() {
            *asked = None;
        }
    }

    /// Asks the router, unless the last result is recent.
    pub(super) async fn check(&self, bridge: &Bridge) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < RESULT_LIFETIME) {
            return;
        }
        let why = match timeout(ANSWER_TIMEOUT, bridge.probe()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        };
        let before = self.missing.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !before => {
                tracing::warn!("no I2P session is open, and the router does not answer: {why}");
            }
            None if before => tracing::info!("the router answers again"),
            _ => {}
        }
        *asked = Some(Instant::now());
    }
}
