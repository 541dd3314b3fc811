//! Whether the router answers, while no open session shows it.

use std::{
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_sam::{Bridge, Error, Phase};
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
    /// Why it did not answer.
    failure: StdMutex<Option<Arc<Error>>>,
}

impl RouterProbe {
    /// Whether the router answered the last time.
    pub(super) fn is_answering(&self) -> bool {
        self.failure().is_none()
    }

    /// Why the router did not answer the last time, if it did not.
    pub(super) fn last_failure(&self) -> Option<Arc<Error>> {
        self.failure().clone()
    }

    fn failure(&self) -> MutexGuard<'_, Option<Arc<Error>>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the result, because sessions show how the router is.
    pub(super) fn forget(&self) {
        *self.failure() = None;
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
        let failure = match timeout(ANSWER_TIMEOUT, bridge.probe()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(Arc::new(error)),
            Err(_) => Some(Arc::new(Error::Timeout { phase: Phase::Hello, limit: ANSWER_TIMEOUT })),
        };
        let before = std::mem::replace(&mut *self.failure(), failure.clone());
        match (before, failure) {
            (None, Some(failure)) => {
                tracing::warn!(
                    "no I2P session is open, and the router does not answer: {}",
                    failure.for_log()
                );
            }
            (Some(_), None) => tracing::info!("the router answers again"),
            _ => {}
        }
        *asked = Some(Instant::now());
    }
}
