//! Log lines about sessions that a router closes or cannot build.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;

use crate::error::Error;

/// How long events of one kind are counted before they are logged as one line. A router that stops closes all its sessions within
/// milliseconds.
const COUNTING_TIME: Duration = Duration::from_millis(200);

/// Logs what happens to the sessions of one bridge, in one line with a count if it happens to many at once.
#[derive(Debug, Default)]
pub(crate) struct SessionLog {
    counted: Mutex<Vec<(SessionEvent, usize)>>,
}

/// What has happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SessionEvent {
    /// The router has closed it.
    Closed,
    /// The first attempt to build it has failed, for this reason. The reason names no target.
    NotBuilt(String),
}

impl SessionLog {
    /// The router has closed a session.
    pub(crate) fn closed(self: &Arc<Self>) {
        self.count(SessionEvent::Closed);
    }

    /// The first of a row of attempts to build a session has failed.
    pub(crate) fn not_built(self: &Arc<Self>, error: &Error) {
        self.count(SessionEvent::NotBuilt(error.for_log().to_string()));
    }

    fn count(self: &Arc<Self>, event: SessionEvent) {
        let mut counted = self.counted();
        if let Some((_, count)) = counted.iter_mut().find(|(other, _)| *other == event) {
            *count += 1;
            return;
        }
        counted.push((event.clone(), 1));
        drop(counted);
        let log = Arc::clone(self);
        tokio::spawn(async move {
            sleep(COUNTING_TIME).await;
            let count = log.take(&event);
            tracing::warn!("{}", Line { event: &event, count });
        });
    }

    /// Stops counting this event. Returns how often it has happened.
    fn take(&self, event: &SessionEvent) -> usize {
        let mut counted = self.counted();
        let at = counted.iter().position(|(other, _)| other == event);
        at.map_or(1, |at| counted.swap_remove(at).1)
    }

    fn counted(&self) -> MutexGuard<'_, Vec<(SessionEvent, usize)>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line about an event that has happened this many times.
struct Line<'a> {
    event: &'a SessionEvent,
    count: usize,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.event, self.count) {
            (SessionEvent::Closed, 1) => {
                f.write_str("the router has closed an I2P session; it is built again when a client needs it")
            }
            (SessionEvent::Closed, count) => write!(
                f,
                "the router has closed {count} I2P sessions; each is built again when a client needs it"
            ),
            (SessionEvent::NotBuilt(why), 1) => {
                write!(f, "no I2P session: {why}; trying until one is built")
            }
            (SessionEvent::NotBuilt(why), count) => {
                write!(f, "no I2P session: {why}; trying until {count} sessions are built")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn events_at_the_same_time_are_counted_and_later_ones_begin_anew() {
        let log = Arc::<SessionLog>::default();
        for _ in 0..8 {
            log.closed();
            log.not_built(&Error::SessionLost);
        }
        log.not_built(&Error::NotSam { address: "".into() });
        let counts: Vec<_> = log.counted().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [8, 8, 1]);
        sleep(COUNTING_TIME * 2).await;
        assert!(log.counted().is_empty());
        let line = |event: SessionEvent, count| Line { event: &event, count }.to_string();
        assert!(line(SessionEvent::Closed, 8).starts_with("the router has closed 8 I2P sessions"));
        let not_built = line(SessionEvent::NotBuilt("why".into()), 8);
        assert_eq!(not_built, "no I2P session: why; trying until 8 sessions are built");
        log.closed();
        assert_eq!(log.take(&SessionEvent::Closed), 1);
    }
}
