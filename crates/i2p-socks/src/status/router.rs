use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use i2p_sam::Bridge;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// For how long an answer holds, or that there was none. Whoever asks more often, as scrapers do, costs the router nothing.
const HOLDS: Duration = Duration::from_secs(3);
/// How long the router may take. It has nothing to do for it but to say HELLO.
const ANSWER: Duration = Duration::from_secs(3);

/// Whether the router answers while no session shows it.
#[derive(Debug, Default)]
pub(super) struct RouterAnswers {
    /// When it was asked last. Locked while it is asked, so that it is asked once at a time.
    asked: Mutex<Option<Instant>>,
    missing: AtomicBool,
}

impl RouterAnswers {
    /// What was found when it was asked last.
    pub(super) fn answers(&self) -> bool {
        !self.missing.load(Ordering::Relaxed)
    }

    /// Sessions show that it is there, or that it is not: what was found before says nothing any more.
    pub(super) fn need_not_be_asked(&self) {
        self.missing.store(false, Ordering::Relaxed);
    }

    /// Asks, unless that was done a moment ago.
    pub(super) async fn ask(&self, bridge: &Bridge) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < HOLDS) {
            return;
        }
        let why = match timeout(ANSWER, bridge.probe()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer in {} s", ANSWER.as_secs())),
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
