use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::fault::{OutproxyFailure, OutproxyFault};

/// After this many faults in a row, an outproxy is ejected: it is skipped for a while.
const FAULTS_BEFORE_EJECTION: u32 = 3;
/// The duration of the first ejection. Each further one lasts twice as long ...
const FIRST_EJECTION: Duration = Duration::from_secs(60);
/// ... up to this.
const MAX_EJECTION: Duration = Duration::from_secs(30 * 60);

/// The state of an outproxy, for metrics and people. The counts start with the program, or with the last change of the outproxy's
/// definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutproxyStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Requests sent to it. Those that clients gave up are not counted below.
    pub attempts: u64,
    /// Streams that it opened.
    pub successes: u64,
    /// Requests for which it said that the target is at fault.
    pub target_failures: u64,
    /// Requests that it declined, or answered without telling whose fault it is.
    pub declined: u64,
    /// Requests that did not reach it because our router or our sessions were at fault.
    pub router_failures: u64,
    /// Requests that it failed otherwise, by cause.
    pub faults: BTreeMap<OutproxyFault, u64>,
    /// How often it was ejected.
    pub ejections: u64,
    /// How long it will still be skipped; `None` if it is in use.
    pub ejected_for: Option<Duration>,
}

impl OutproxyStatus {
    /// The number of requests by outcome, with the label of each outcome in metrics.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let faults = OutproxyFault::ALL
            .map(|fault| (fault.label(), self.faults.get(&fault).copied().unwrap_or_default()));
        [
            ("opened", self.successes),
            ("target_failed", self.target_failures),
            ("declined", self.declined),
            ("router_failed", self.router_failures),
        ]
        .into_iter()
        .chain(faults)
    }
}

/// The health of an outproxy.
pub(super) struct Health {
    state: Mutex<State>,
}

struct State {
    status: OutproxyStatus,
    ejections: Ejections,
}

/// Faults in a row, and the ejections that they cause: of an outproxy for all clients, or for one identity.
#[derive(Debug)]
pub(super) struct Ejections {
    consecutive_faults: u32,
    /// The duration of the next ejection.
    next: Duration,
    until: Option<Instant>,
}

impl Default for Ejections {
    fn default() -> Self {
        Self { consecutive_faults: 0, next: FIRST_EJECTION, until: None }
    }
}

/// An ejection that has just begun.
pub(super) struct Ejection {
    pub(super) duration: Duration,
}

impl Health {
    pub(super) fn new(name: Arc<str>) -> Self {
        let status = OutproxyStatus { name, ..OutproxyStatus::default() };
        Self { state: Mutex::new(State { status, ejections: Ejections::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record_attempt(&self) {
        self.state().status.attempts += 1;
    }

    /// Counts an outcome. Returns the ejection if this begins one for all clients.
    pub(super) fn record<T>(&self, outcome: &Result<T, OutproxyFailure>) -> Option<Ejection> {
        let mut state = self.state();
        let State { status, ejections } = &mut *state;
        match outcome {
            Ok(_) => status.successes += 1,
            Err(OutproxyFailure::Target(_)) => status.target_failures += 1,
            Err(OutproxyFailure::Declined) => {
                status.declined += 1;
                return None;
            }
            Err(OutproxyFailure::Router(_)) => {
                status.router_failures += 1;
                return None;
            }
            Err(OutproxyFailure::Request(fault)) => {
                *status.faults.entry(*fault).or_default() += 1;
                return None;
            }
            Err(OutproxyFailure::Outproxy(fault)) => {
                *status.faults.entry(*fault).or_default() += 1;
                let begun = ejections.record_fault();
                status.ejections += u64::from(begun.is_some());
                return begun;
            }
        }
        *ejections = Ejections::default();
        None
    }

    /// The end of its ejection; `None` if it is not ejected.
    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.state().ejections.until()
    }

    pub(super) fn status(&self) -> OutproxyStatus {
        let state = self.state();
        let now = Instant::now();
        let ejected_for = state.ejections.until().map(|until| until.saturating_duration_since(now));
        OutproxyStatus { ejected_for, ..state.status.clone() }
    }
}

impl Ejections {
    /// The end of the ejection; `None` if there is none now.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }

    /// Counts a fault. Returns the ejection if this begins one.
    pub(super) fn record_fault(&mut self) -> Option<Ejection> {
        self.consecutive_faults = self.consecutive_faults.saturating_add(1);
        // Requests that were under way already, or had no other outproxy, do not prolong the ejection.
        if self.until().is_some() || self.consecutive_faults < FAULTS_BEFORE_EJECTION {
            return None;
        }
        // After an ejection, one fault is enough for the next, since no request has succeeded in between.
        let duration = self.next;
        self.until = Some(Instant::now() + duration);
        self.next = (duration * 2).min(MAX_EJECTION);
        Some(Ejection { duration })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::failure::Failure;

    const FAULT: Result<(), OutproxyFailure> = Err(OutproxyFailure::Outproxy(OutproxyFault::TimedOut));

    #[tokio::test(start_paused = true)]
    async fn three_faults_in_a_row_eject_and_then_each_one_for_longer() {
        let health = Health::new("a".into());
        assert!(health.record(&FAULT).is_none() && health.record(&FAULT).is_none());
        assert_eq!(health.record(&FAULT).unwrap().duration, FIRST_EJECTION);
        assert!(health.record(&FAULT).is_none(), "it is out already");
        assert_eq!(health.status().ejected_for, Some(FIRST_EJECTION));
        let mut expected = FIRST_EJECTION;
        for _ in 0..8 {
            advance(expected - Duration::from_millis(1)).await;
            assert!(health.ejected_until().is_some());
            advance(Duration::from_millis(1)).await;
            assert!(health.ejected_until().is_none());
            expected = (expected * 2).min(Duration::from_secs(1800));
            assert_eq!(health.record(&FAULT).unwrap().duration, expected);
        }
        assert_eq!(expected, Duration::from_secs(1800));
        assert_eq!(health.status().ejections, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn only_its_own_faults_count_and_a_success_resets_them() {
        let health = Health::new("a".into());
        let request = OutproxyFailure::Request(OutproxyFault::Closed);
        for outcome in [OutproxyFailure::Declined, OutproxyFailure::Router(Failure::NoTunnels), request] {
            let outcome = Err(outcome);
            for _ in 0..10 {
                assert!(health.record::<()>(&outcome).is_none());
            }
        }
        for good in [Ok(()), Err(OutproxyFailure::Target(Failure::Refused))] {
            assert!(health.record(&FAULT).is_none() && health.record(&FAULT).is_none());
            assert!(health.record(&good).is_none());
        }
        assert!(health.record(&FAULT).is_none() && health.record(&FAULT).is_none());
        // A declined request in between changes nothing.
        assert!(health.record::<()>(&Err(OutproxyFailure::Declined)).is_none());
        assert!(health.record(&FAULT).is_some());
        let status = health.status();
        let counts = (status.successes, status.target_failures, status.declined, status.router_failures);
        assert_eq!(counts, (1, 1, 11, 10));
        assert_eq!(
            status.faults,
            BTreeMap::from([(OutproxyFault::TimedOut, 7), (OutproxyFault::Closed, 10)])
        );
        // An ejected outproxy is still tried if all are ejected. A success ends the ejection.
        assert!(health.record(&Ok(())).is_none());
        assert!(health.ejected_until().is_none());
    }
}
