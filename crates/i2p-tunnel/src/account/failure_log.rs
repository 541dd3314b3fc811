use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{failure::Failure, limits::Limit};

/// Shortest time between two log lines of one kind.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Log line for clients with wrong credentials.
const UNAUTHORIZED: &str = "a client was refused: its user name or password is wrong or missing";

/// Log line for connections that panicked. It has no content: the text of a panic may quote what a client sent.
const PANICKED: &str = "a connection panicked and was ended; other connections are not affected. This is a bug of the program: \
    please report it";

/// Logs why requests fail and which limits are reached, without a line for each: the first of a kind at once, the next at least
/// [`LOG_INTERVAL`] later, with the number of those in between.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    failures: LogThrottle<Failure>,
    limits: LogThrottle<Limit>,
    unauthorized: LogThrottle<()>,
    panics: LogThrottle<()>,
}

impl FailureLog {
    /// Records the failure of a request.
    pub(crate) fn log_failure(&self, failure: Failure) {
        if let Some(suppressed) = self.failures.record(failure) {
            let reason = failure.row().log;
            match suppressed {
                0 => tracing::info!("a request failed: {reason}"),
                more => tracing::info!("a request failed: {reason} ({more} more since the last such line)"),
            }
        }
    }

    /// Records a limit that a connection reached.
    pub(crate) fn log_limit(&self, limit: Limit) {
        tracing::debug!(limit = limit.label(), "a limit was reached");
        if limit.concerns_operator() {
            warn(limit.log(), self.limits.record(limit));
        }
    }

    /// Records a client with wrong or missing credentials. One may be a mistake; many are an attempt to guess a password.
    pub(crate) fn log_unauthorized(&self) {
        warn(UNAUTHORIZED, self.unauthorized.record(()));
    }

    /// Records a connection that panicked.
    pub(crate) fn log_panic(&self) {
        warn(PANICKED, self.panics.record(()));
    }

    /// The kinds of failures that have occurred, the latest first.
    pub(crate) fn recent(&self) -> Vec<RecentFailure> {
        let mut recent: Vec<_> = self
            .failures
            .kinds()
            .iter()
            .map(|kind| RecentFailure { failure: kind.what, count: kind.count, ago: kind.last.elapsed() })
            .collect();
        recent.sort_by_key(|recent| recent.ago);
        recent
    }
}

/// Logs a warning if one is due, with the number of its kind that were suppressed before.
fn warn(text: &str, suppressed: Option<u64>) {
    match suppressed {
        Some(0) => tracing::warn!("{text}"),
        Some(more) => tracing::warn!("{text} ({more} more since the last such line)"),
        None => {}
    }
}

/// A kind of failure that has occurred since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentFailure {
    /// The kind.
    pub failure: Failure,
    /// How often it occurred since the start.
    pub count: u64,
    /// How long ago it occurred last.
    pub ago: Duration,
}

/// Counts events by kind and bounds how often each kind is logged. Kinds are searched linearly and never removed, so there must be
/// few of them.
#[derive(Debug)]
pub(crate) struct LogThrottle<K> {
    kinds: Mutex<Vec<Kind<K>>>,
}

impl<K> Default for LogThrottle<K> {
    fn default() -> Self {
        Self { kinds: Mutex::default() }
    }
}

#[derive(Debug)]
struct Kind<K> {
    what: K,
    count: u64,
    last: Instant,
    logged: Instant,
    suppressed: u64,
}

impl<K: PartialEq> LogThrottle<K> {
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

    fn kinds(&self) -> MutexGuard<'_, Vec<Kind<K>>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_logged_and_later_ones_are_counted() {
        let log = LogThrottle::default();
        assert_eq!(log.record(Failure::NameUnknown), Some(0));
        assert_eq!(log.record(Failure::NameUnknown), None);
        assert_eq!(log.record(Failure::Refused), Some(0), "each kind has its own interval");
        tokio::time::advance(LOG_INTERVAL / 2).await;
        assert_eq!(log.record(Failure::NameUnknown), None);
        tokio::time::advance(LOG_INTERVAL / 2).await;
        assert_eq!(log.record(Failure::NameUnknown), Some(2));
        assert_eq!(log.record(Failure::NameUnknown), None);
    }

    #[tokio::test(start_paused = true)]
    async fn recent_failures_are_listed_latest_first_with_their_counts() {
        let log = FailureLog::default();
        for failure in [Failure::Refused, Failure::NameUnknown, Failure::Refused, Failure::NameUnknown] {
            log.log_failure(failure);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let recent = |failure, ago| RecentFailure { failure, count: 2, ago: Duration::from_secs(ago) };
        assert_eq!(log.recent(), [recent(Failure::NameUnknown, 1), recent(Failure::Refused, 2)]);
    }
}
