//! Reloads of the configuration: how many there were, and why the last one was refused.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use i2p_tunnel::metrics::Reloads;

/// The reloads since the start.
#[derive(Debug, Default)]
pub(super) struct ReloadHistory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: Reloads,
    last_refused: Option<Refused>,
}

/// A reload that was refused.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) at: Instant,
    /// Why, without names and addresses of the configuration.
    pub(super) why: String,
}

impl ReloadHistory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a reload. What was refused before does not matter any more.
    pub(super) fn applied(&self) {
        let mut inner = self.inner();
        inner.counts.applied += 1;
        inner.last_refused = None;
    }

    pub(super) fn refused(&self, why: &str) {
        let mut inner = self.inner();
        inner.counts.refused += 1;
        inner.last_refused = Some(Refused { at: Instant::now(), why: why.to_owned() });
    }

    pub(super) fn counts(&self) -> Reloads {
        self.inner().counts
    }

    /// The last reload, if it was refused: then the configuration file is not the one in effect.
    pub(super) fn last_refused(&self) -> Option<Refused> {
        self.inner().last_refused.clone()
    }
}
