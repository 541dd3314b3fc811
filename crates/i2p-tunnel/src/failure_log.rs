use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{Failure, Limit};

/// How often one kind of failure is said.
const EVERY: Duration = Duration::from_secs(60);

/// Tells whoever runs the proxy why requests fail and which limits are reached, without a line for each: the first of a kind
/// at once, and how many more there were with the next line of its kind, a minute later at the earliest.
#[derive(Default)]
pub(crate) struct FailureLog {
    kinds: Mutex<Vec<Kind>>,
}

struct Kind {
    label: &'static str,
    said: Instant,
    unsaid: u64,
}

impl FailureLog {
    pub(crate) fn note(&self, failure: Failure) {
        let row = failure.row();
        if let Some(unsaid) = self.due(row.label) {
            let why = row.log;
            match unsaid {
                0 => tracing::info!("a request failed: {why}"),
                more => tracing::info!("a request failed: {why} (and {more} more since this was said last)"),
            }
        }
    }

    /// A connection has come to a limit.
    pub(crate) fn limit(&self, limit: Limit) {
        let (label, what) = (limit.label(), limit.log());
        tracing::debug!(limit = label, "a limit was reached");
        if !limit.is_news() {
            return;
        }
        match self.due(label) {
            Some(0) => tracing::warn!("{what}"),
            Some(more) => tracing::warn!("{what} (and {more} times more since this was said last)"),
            None => {}
        }
    }

    /// Whether it is to be said now, and how many of its kind were not.
    fn due(&self, label: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kind) = kinds.iter_mut().find(|kind| kind.label == label) else {
            kinds.push(Kind { label, said: now, unsaid: 0 });
            return Some(0);
        };
        if now - kind.said < EVERY {
            kind.unsaid += 1;
            return None;
        }
        kind.said = now;
        Some(std::mem::take(&mut kind.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_said_and_the_others_are_counted() {
        let log = FailureLog::default();
        assert_eq!(log.due("name_unknown"), Some(0));
        assert_eq!(log.due("name_unknown"), None);
        assert_eq!(log.due("refused"), Some(0), "each kind for itself");
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(log.due("name_unknown"), None);
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(log.due("name_unknown"), Some(2));
        assert_eq!(log.due("name_unknown"), None);
    }
}
