//! What was last learned of the router behind a bridge.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{capabilities::Capabilities, session_log::SessionLog, spares::Spares, style_trials::StyleTrials};

/// What was last learned of the router behind a bridge. All clones of a bridge share it.
#[derive(Debug, Default)]
pub(super) struct Learned {
    latest: Mutex<Option<Known>>,
    /// Held by the task that asks the router, so that the others wait for its answer instead of asking too.
    pub(super) asking: tokio::sync::Mutex<()>,
    warned_of_early_data: AtomicBool,
    /// What happens to the sessions at the bridge.
    pub(super) session_log: Arc<SessionLog>,
}

/// A router that has answered: what it can do, and the connections to it that are kept ready.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) capabilities: Capabilities,
    /// Every router that answers has spares of its own, so that they tell one from another.
    pub(super) spares: Arc<Spares>,
    /// The kinds of datagrams that it was asked for.
    pub(super) style_trials: Arc<StyleTrials>,
    /// Whether it has refused a session because of its post-quantum encryption.
    pub(super) refuses_post_quantum: Arc<AtomicBool>,
}

impl Learned {
    /// The router that answered last, until it is forgotten.
    pub(super) fn latest(&self) -> Option<Known> {
        self.lock().clone()
    }

    /// Remembers what a router answered. A router that answers like the latest one is taken for the same.
    pub(super) fn remember(&self, capabilities: Capabilities, max_spares: usize) -> Known {
        let mut latest = self.lock();
        if let Some(known) = latest.as_ref().filter(|known| known.capabilities == capabilities) {
            return known.clone();
        }
        let known = Known {
            capabilities,
            spares: Spares::new(max_spares),
            style_trials: Arc::default(),
            refuses_post_quantum: Arc::default(),
        };
        let replaced = latest.replace(known.clone());
        drop(latest);
        if let Some(replaced) = replaced {
            replaced.spares.clear();
        }
        known
    }

    /// Remembers a router that answered at another bridge which is the same place.
    pub(super) fn adopt(&self, known: Known) {
        self.lock().get_or_insert(known);
    }

    /// Forgets this router and closes its spare connections. A router that has answered since is remembered.
    pub(super) fn forget(&self, known: &Known) {
        known.spares.clear();
        let mut latest = self.lock();
        if latest.as_ref().is_some_and(|latest| Arc::ptr_eq(&latest.spares, &known.spares)) {
            *latest = None;
        }
    }

    /// Warns once that sessions ask for early data and the router cannot be asked for it.
    pub(super) fn warn_once_no_early_data(&self, capabilities: Capabilities) {
        if !self.warned_of_early_data.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "early data is ignored: only Java I2P supports it, and the router's bridge is {}; each stream takes one round \
                 trip more",
                capabilities.dialect()
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Version};

    fn capabilities(minor: u8) -> Capabilities {
        let answer = Reply::parse(b"NAMING REPLY RESULT=KEY_NOT_FOUND NAME=x").ok();
        Capabilities::learn(Version { major: 3, minor }, answer)
    }

    fn is_same(one: &Known, other: &Known) -> bool {
        Arc::ptr_eq(&one.spares, &other.spares)
    }

    #[test]
    fn a_router_that_answers_alike_is_the_same_one_until_it_is_forgotten() {
        let learned = Learned::default();
        let first = learned.remember(capabilities(3), 1);
        assert!(is_same(&first, &learned.remember(capabilities(3), 1)));
        learned.forget(&first);
        assert!(learned.latest().is_none());
        assert!(!is_same(&first, &learned.remember(capabilities(3), 1)));
    }

    #[test]
    fn a_lost_session_of_an_older_router_does_not_make_the_bridge_forget_the_newer_one() {
        let learned = Learned::default();
        let older = learned.remember(capabilities(3), 1);
        let newer = learned.remember(capabilities(2), 1);
        assert!(!is_same(&older, &newer));
        learned.forget(&older);
        assert!(learned.latest().is_some_and(|latest| is_same(&latest, &newer)));
    }
}
