use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::fault::{OutproxyFailure, OutproxyFault};
use crate::client::ClientOrigin;

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
    /// How long it will still be skipped, by all clients or by the only one that it failed; `None` if it is in use.
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
    /// Whose requests failed since the last one that did not.
    failed: Failed,
}

/// Whose requests failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Nobodys,
    /// Those of one client. It may have caused that, for instance by overloading its own session.
    OneClients(Option<ClientOrigin>),
    SeveralClients,
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
    /// Whether it is for all clients, and not only for the one whose requests failed.
    pub(super) is_for_all: bool,
}

impl Health {
    pub(super) fn new(name: Arc<str>) -> Self {
        let status = OutproxyStatus { name, ..OutproxyStatus::default() };
        let state = State { status, ejections: Ejections::default(), failed: Failed::Nobodys };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record_attempt(&self) {
        self.state().status.attempts += 1;
    }

    /// Counts the outcome of a client's request. Returns the ejection if this begins one.
    ///
    /// Faults in a row eject the outproxy for all clients if requests of several clients failed, and otherwise for the one whose
    /// requests failed.
    pub(super) fn record<T>(
        &self,
        client: Option<ClientOrigin>,
        outcome: &Result<T, OutproxyFailure>,
    ) -> Option<Ejection> {
        let mut state = self.state();
        let State { status, ejections, failed } = &mut *state;
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
                let before = std::mem::replace(failed, failed.and(client));
                let is_for_all = *failed == Failed::SeveralClients;
                if is_for_all && before != *failed {
                    // The ejection for one client does not put off that for all.
                    ejections.end();
                }
                let duration = ejections.record_fault()?;
                status.ejections += 1;
                return Some(Ejection { duration, is_for_all });
            }
        }
        (*ejections, *failed) = (Ejections::default(), Failed::Nobodys);
        None
    }

    /// The end of its ejection for a client; `None` if it is not ejected.
    pub(super) fn ejected_until(&self, client: Option<ClientOrigin>) -> Option<Instant> {
        let state = self.state();
        let concerns = match state.failed {
            Failed::OneClients(one) => one == client,
            Failed::Nobodys | Failed::SeveralClients => true,
        };
        state.ejections.until().filter(|_| concerns)
    }

    pub(super) fn status(&self) -> OutproxyStatus {
        let state = self.state();
        let now = Instant::now();
        let ejected_for = state.ejections.until().map(|until| until.saturating_duration_since(now));
        OutproxyStatus { ejected_for, ..state.status.clone() }
    }
}

impl Failed {
    /// Whose requests have failed after one more.
    fn and(self, client: Option<ClientOrigin>) -> Self {
        match self {
            Self::Nobodys => Self::OneClients(client),
            Self::OneClients(one) if one == client => self,
            Self::OneClients(_) | Self::SeveralClients => Self::SeveralClients,
        }
    }
}

impl Ejections {
    /// The end of the ejection; `None` if there is none now.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }

    /// Ends the ejection early.
    fn end(&mut self) {
        self.until = None;
    }

    /// Counts a fault. Returns the duration of the ejection if this begins one.
    pub(super) fn record_fault(&mut self) -> Option<Duration> {
        self.consecutive_faults = self.consecutive_faults.saturating_add(1);
        // Requests that were under way already, or had no other outproxy, do not prolong the ejection.
        if self.until().is_some() || self.consecutive_faults < FAULTS_BEFORE_EJECTION {
            return None;
        }
        // After an ejection, one fault is enough for the next, since no request has succeeded in between.
        let duration = self.next;
        self.until = Some(Instant::now() + duration);
        self.next = (duration * 2).min(MAX_EJECTION);
        Some(duration)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::{client::ClientAddress, failure::Failure};

    const FAULT: Result<(), OutproxyFailure> = Err(OutproxyFailure::Outproxy(OutproxyFault::TimedOut));

    fn client(user: u32) -> Option<ClientOrigin> {
        Some(ClientAddress::User(user).into())
    }

    /// Records an outcome of the first of two clients.
    fn record(health: &Health, outcome: &Result<(), OutproxyFailure>) -> Option<Ejection> {
        health.record(client(1), outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn three_faults_in_a_row_eject_and_then_each_one_for_longer() {
        let health = Health::new("a".into());
        assert!(record(&health, &FAULT).is_none() && record(&health, &FAULT).is_none());
        assert_eq!(record(&health, &FAULT).unwrap().duration, FIRST_EJECTION);
        assert!(record(&health, &FAULT).is_none(), "it is out already");
        assert_eq!(health.status().ejected_for, Some(FIRST_EJECTION));
        let mut expected = FIRST_EJECTION;
        for _ in 0..8 {
            advance(expected - Duration::from_millis(1)).await;
            assert!(health.ejected_until(client(1)).is_some());
            advance(Duration::from_millis(1)).await;
            assert!(health.ejected_until(client(1)).is_none());
            expected = (expected * 2).min(Duration::from_secs(1800));
            assert_eq!(record(&health, &FAULT).unwrap().duration, expected);
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
                assert!(record(&health, &outcome).is_none());
            }
        }
        for good in [Ok(()), Err(OutproxyFailure::Target(Failure::Refused))] {
            assert!(record(&health, &FAULT).is_none() && record(&health, &FAULT).is_none());
            assert!(record(&health, &good).is_none());
        }
        assert!(record(&health, &FAULT).is_none() && record(&health, &FAULT).is_none());
        // A declined request in between changes nothing.
        assert!(record(&health, &Err(OutproxyFailure::Declined)).is_none());
        assert!(record(&health, &FAULT).is_some());
        let status = health.status();
        let counts = (status.successes, status.target_failures, status.declined, status.router_failures);
        assert_eq!(counts, (1, 1, 11, 10));
        assert_eq!(
            status.faults,
            BTreeMap::from([(OutproxyFault::TimedOut, 7), (OutproxyFault::Closed, 10)])
        );
        // An ejected outproxy is still tried if all are ejected. A success ends the ejection.
        assert!(record(&health, &Ok(())).is_none());
        assert!(health.ejected_until(client(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn faults_that_concern_one_client_eject_it_for_this_client_only() {
        let health = Health::new("a".into());
        let ejected = || [1, 2, 3].map(|user| health.ejected_until(client(user)).is_some());
        for _ in 0..5 {
            assert!(health.record(client(1), &FAULT).is_none_or(|ejection| !ejection.is_for_all));
        }
        assert_eq!(ejected(), [true, false, false]);
        // The next fault is another client's.
        assert!(health.record(client(2), &FAULT).is_some_and(|ejection| ejection.is_for_all));
        assert_eq!(ejected(), [true; 3]);
        assert!(health.record(client(2), &Ok(())).is_none());
        assert_eq!(ejected(), [false; 3]);
        // In turns.
        for user in [1, 2] {
            assert!(health.record(client(user), &FAULT).is_none());
        }
        assert!(health.record(client(1), &FAULT).is_some_and(|ejection| ejection.is_for_all));
    }
}
