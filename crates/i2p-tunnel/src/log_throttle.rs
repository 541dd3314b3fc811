use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Shortest time between two log lines of one kind.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts events by kind and bounds how often each kind is logged, since clients could otherwise fill the log: the first of a kind
/// is logged at once, the next at least a minute later, with the number of those in between.
///
/// Kinds are searched linearly and never removed, so there must be few of them.
#[derive(Debug)]
pub struct LogThrottle<K> {
    kinds: Mutex<Vec<Kind<K>>>,
}

/// What is known of a kind of event.
#[derive(Debug)]
pub(crate) struct Kind<K> {
    pub(crate) what: K,
    pub(crate) count: u64,
    pub(crate) last: Instant,
    logged: Instant,
    suppressed: u64,
}

impl<K> Default for LogThrottle<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> LogThrottle<K> {
    /// Creates one that has counted nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { kinds: Mutex::new(Vec::new()) }
    }

    pub(crate) fn kinds(&self) -> MutexGuard<'_, Vec<Kind<K>>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: PartialEq> LogThrottle<K> {
    /// Counts an event, and logs this text as a warning if that is due.
    pub fn warn(&self, what: K, text: impl fmt::Display) {
        match self.record(what) {
            Some(0) => tracing::warn!("{text}"),
            Some(more) => tracing::warn!("{text} ({more} more since the last such line)"),
            None => tracing::debug!("{text}"),
        }
    }

    /// Counts an event. If it is due to be logged, returns the number of its kind that were suppressed since the last line.
    pub(crate) fn record(&self, what: K) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.kinds();
        let Some(kind) = kinds.iter_mut().find(|kind| kind.what == what) else {
            kinds.push(Kind { what, count: 1, last: now, logged: now, suppressed: 0 });
            return Some(0);
        };
        kind.count += 1;
        kind.last = now;
        if now - kind.logged < LOG_INTERVAL {
            kind.suppressed += 1;
            return None;
        }
        kind.logged = now;
        Some(std::mem::take(&mut kind.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_logged_and_later_ones_are_counted() {
        let log = LogThrottle::default();
        assert_eq!(log.record("unknown"), Some(0));
        assert_eq!(log.record("unknown"), None);
        assert_eq!(log.record("refused"), Some(0), "each kind has its own interval");
        tokio::time::advance(LOG_INTERVAL / 2).await;
        assert_eq!(log.record("unknown"), None);
        tokio::time::advance(LOG_INTERVAL / 2).await;
        assert_eq!(log.record("unknown"), Some(2));
        assert_eq!(log.record("unknown"), None);
    }
}
