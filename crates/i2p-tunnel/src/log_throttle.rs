use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The time after which one more line of a kind may be logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How many lines of a kind may be logged in a row: somebody who tries one program after another sees a line for each.
const BURST: u32 = 5;
/// The shortest time between two of these lines: a page with many images is one try.
const SPACING: Duration = Duration::from_secs(1);

/// Counts events by kind and bounds how often each kind is logged, since clients could otherwise fill the log: the first five of a
/// kind are logged at once, one a second, and then one a minute, with the number of those in between. A minute without a line allows
/// one more.
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
    /// How many lines may be logged.
    allowed: u32,
    /// Since when the time for one more counts.
    counted_from: Instant,
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
            let (allowed, suppressed) = (BURST - 1, 0);
            let (last, logged, counted_from) = (now, now, now);
            kinds.push(Kind { what, count: 1, last, logged, allowed, counted_from, suppressed });
            return Some(0);
        };
        kind.count += 1;
        kind.last = now;
        kind.allow_more(now);
        if kind.allowed == 0 || now - kind.logged < SPACING {
            kind.suppressed += 1;
            return None;
        }
        kind.allowed -= 1;
        kind.logged = now;
        Some(std::mem::take(&mut kind.suppressed))
    }
}

impl<K> Kind<K> {
    /// Allows a line for each interval that has passed.
    fn allow_more(&mut self, now: Instant) {
        let passed = (now - self.counted_from).as_secs() / LOG_INTERVAL.as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX).min(BURST);
        self.allowed = (self.allowed + passed).min(BURST);
        // Once all are allowed, time counts from the next line.
        self.counted_from =
            if self.allowed == BURST { now } else { self.counted_from + LOG_INTERVAL * passed };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_of_a_kind_are_logged_and_later_ones_are_counted() {
        let log = LogThrottle::default();
        for _ in 0..BURST {
            assert_eq!(log.record("unknown"), Some(0));
            tokio::time::advance(SPACING).await;
        }
        assert_eq!(log.record("unknown"), None);
        assert_eq!(log.record("refused"), Some(0), "each kind has its own lines");
        tokio::time::advance(LOG_INTERVAL / 2).await;
        assert_eq!(log.record("unknown"), None);
        tokio::time::advance(LOG_INTERVAL / 2).await;
        assert_eq!(log.record("unknown"), Some(2));
        assert_eq!(log.record("unknown"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_at_once_is_one_line() {
        let log = LogThrottle::default();
        assert_eq!((0..1000).filter(|_| log.record("storm").is_some()).count(), 1);
        tokio::time::advance(SPACING).await;
        assert_eq!(log.record("storm"), Some(999));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_logged_once_a_minute_and_a_quiet_time_allows_no_more_than_the_first_lines() {
        let log = LogThrottle::default();
        let lines = async |seconds: usize| {
            let mut lines = 0;
            for _ in 0..seconds {
                lines += usize::from(log.record("flood").is_some());
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            lines
        };
        assert_eq!(lines(600).await, 5 + 9);
        tokio::time::advance(LOG_INTERVAL * 100).await;
        assert_eq!(lines(50).await, 5);
    }
}
