use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{failure::Failure, limits::Limit};

/// How often one kind of failure is said.
const EVERY: Duration = Duration::from_secs(60);

/// What is said of a client that is no user of the tunnel.
const STRANGER: &str = "a client was refused: its user name or password is wrong, or it gave none";

/// Tells whoever runs the proxy why requests fail and which limits are reached, without a line for each: the first of a kind
/// at once, and how many more there were with the next line of its kind, a minute later at the earliest.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    said: Repeated<Failure>,
    limits: Repeated<Limit>,
    strangers: Repeated<()>,
}

impl FailureLog {
    pub(crate) fn note(&self, failure: Failure) {
        if let Some(unsaid) = self.said.due(failure) {
            let why = failure.row().log;
            match unsaid {
                0 => tracing::info!("a request failed: {why}"),
                more => tracing::info!("a request failed: {why} (and {more} more since this was said last)"),
            }
        }
    }

    /// A connection has come to a limit.
    pub(crate) fn limit(&self, limit: Limit) {
        let what = limit.log();
        tracing::debug!(limit = limit.label(), "a limit was reached");
        if !limit.is_news() {
            return;
        }
        warn(what, self.limits.due(limit));
    }

    /// A client is no user of the tunnel: one may be mistaken, and many are somebody who guesses.
    pub(crate) fn stranger(&self) {
        warn(STRANGER, self.strangers.due(()));
    }

    /// What there has been, the latest first.
    pub(crate) fn recent(&self) -> Vec<RecentFailure> {
        let mut recent: Vec<_> = self
            .said
            .kinds()
            .iter()
            .map(|kind| RecentFailure { failure: kind.what, count: kind.count, ago: kind.last.elapsed() })
            .collect();
        recent.sort_by_key(|recent| recent.ago);
        recent
    }
}

/// Says what is due, with how many of its kind were not said.
fn warn(what: &str, due: Option<u64>) {
    match due {
        Some(0) => tracing::warn!("{what}"),
        Some(more) => tracing::warn!("{what} (and {more} times more since this was said last)"),
        None => {}
    }
}

/// A kind of failure that there has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentFailure {
    /// Which.
    pub failure: Failure,
    /// How often since the start.
    pub count: u64,
    /// How long ago it was the last time.
    pub ago: Duration,
}

/// What happens again and again, by kind, and what was said of it. There are to be few kinds.
#[derive(Debug)]
pub(crate) struct Repeated<K> {
    kinds: Mutex<Vec<Kind<K>>>,
}

impl<K> Default for Repeated<K> {
    fn default() -> Self {
        Self { kinds: Mutex::default() }
    }
}

#[derive(Debug)]
struct Kind<K> {
    what: K,
    count: u64,
    last: Instant,
    said: Instant,
    unsaid: u64,
}

impl<K: PartialEq> Repeated<K> {
    /// Whether it is to be said now, and how many of its kind were not.
    pub(crate) fn due(&self, what: K) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.kinds();
        let Some(kind) = kinds.iter_mut().find(|kind| kind.what == what) else {
            kinds.push(Kind { what, count: 1, last: now, said: now, unsaid: 0 });
            return Some(0);
        };
        kind.count += 1;
        kind.last = now;
        if now - kind.said < EVERY {
            kind.unsaid += 1;
            return None;
        }
        kind.said = now;
        Some(std::mem::take(&mut kind.unsaid))
    }

    fn kinds(&self) -> MutexGuard<'_, Vec<Kind<K>>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_said_and_the_others_are_counted() {
        let log = Repeated::default();
        assert_eq!(log.due(Failure::NameUnknown), Some(0));
        assert_eq!(log.due(Failure::NameUnknown), None);
        assert_eq!(log.due(Failure::Refused), Some(0), "each kind for itself");
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(log.due(Failure::NameUnknown), None);
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(log.due(Failure::NameUnknown), Some(2));
        assert_eq!(log.due(Failure::NameUnknown), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_failure_is_first_with_all_there_were() {
        let log = FailureLog::default();
        for failure in [Failure::Refused, Failure::NameUnknown, Failure::Refused, Failure::NameUnknown] {
            log.note(failure);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let recent = |failure, ago| RecentFailure { failure, count: 2, ago: Duration::from_secs(ago) };
        assert_eq!(log.recent(), [recent(Failure::NameUnknown, 1), recent(Failure::Refused, 2)]);
    }
}
