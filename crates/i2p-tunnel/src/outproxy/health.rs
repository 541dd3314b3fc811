//! How long a failing outproxy is skipped, and by whom.
//!
//! A client can cause almost any failure of an outproxy: a burst of requests makes an outproxy in I2P throttle the client's
//! destination, or a local one run out of connections. So what one identity experiences decides only what this identity does. An
//! identity that could make others change to another outproxy could tell who they are: they would all change in the same moment.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::fault::{OutproxyFailure, OutproxyFault};
use crate::client::ClientOrigin;

/// After this many faults in a row that an identity has experienced, the outproxy is ejected for this identity: it is skipped for a
/// while. It is ejected for all after twice as many, of which at most this many count for any one client: then it has failed at
/// least two clients.
const FAULTS_BEFORE_EJECTION: usize = 3;
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
    /// How often it was ejected for all clients.
    pub ejections: u64,
    /// How long all clients will still skip it; `None` if it is in use.
    pub ejected_for: Option<Duration>,
    /// How long a client that it failed may still skip it while others use it; `None` if no client does.
    pub ejected_for_some: Option<Duration>,
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
    shared: SharedEjection,
    /// The latest end of an ejection for one identity.
    until_for_one: Option<Instant>,
}

/// The ejections of an outproxy for one identity, by what this identity has experienced.
#[derive(Debug, Default)]
pub(super) struct Ejections {
    consecutive_faults: usize,
    ejection: Ejection,
}

/// The ejections of an outproxy for all clients.
#[derive(Default)]
struct SharedEjection {
    /// Whose requests failed since the last success or ejection, with each client as often as its faults count. All contained
    /// programs count as one client, since one user can start any number of them.
    failed: Vec<Option<ClientOrigin>>,
    ejection: Ejection,
}

/// An ejection, and how long the next one lasts.
#[derive(Debug)]
struct Ejection {
    next: Duration,
    until: Option<Instant>,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { next: FIRST_EJECTION, until: None }
    }
}

impl Health {
    pub(super) fn new(name: Arc<str>) -> Self {
        let status = OutproxyStatus { name, ..OutproxyStatus::default() };
        let state = State { status, shared: SharedEjection::default(), until_for_one: None };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record_attempt(&self) {
        self.state().status.attempts += 1;
    }

    /// Counts the outcome of a client's request. Returns the duration of the ejection if this begins one for all.
    pub(super) fn record<T>(
        &self,
        client: Option<ClientOrigin>,
        outcome: &Result<T, OutproxyFailure>,
    ) -> Option<Duration> {
        let mut state = self.state();
        let State { status, shared, .. } = &mut *state;
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
                let begun = shared.record_fault(client);
                status.ejections += u64::from(begun.is_some());
                return begun;
            }
        }
        *shared = SharedEjection::default();
        None
    }

    /// Notes that one identity skips it for this long, for the status.
    pub(super) fn note_ejection_for_one(&self, duration: Duration) {
        let mut state = self.state();
        state.until_for_one = state.until_for_one.max(Some(Instant::now() + duration));
    }

    /// The end of its ejection for all; `None` if there is none now.
    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.state().shared.ejection.until()
    }

    pub(super) fn status(&self) -> OutproxyStatus {
        let state = self.state();
        let now = Instant::now();
        let rest = |until: Option<Instant>| Some(until?.saturating_duration_since(now));
        OutproxyStatus {
            ejected_for: rest(state.shared.ejection.until()),
            ejected_for_some: rest(state.until_for_one.filter(|until| *until > now)),
            ..state.status.clone()
        }
    }
}

impl SharedEjection {
    /// Counts a fault that a client has experienced. Returns the duration of the ejection if this begins one.
    fn record_fault(&mut self, client: Option<ClientOrigin>) -> Option<Duration> {
        let client = client.map(ClientOrigin::group);
        // Requests that were under way already, or had no other outproxy, do not prolong the ejection.
        if self.ejection.until().is_some() {
            return None;
        }
        // After an ejection, one fault of each of two clients is enough, since no request has succeeded in between.
        let of_each = if self.ejection.is_first() { FAULTS_BEFORE_EJECTION } else { 1 };
        if self.failed.iter().filter(|other| **other == client).count() < of_each {
            self.failed.push(client);
        }
        if self.failed.len() < 2 * of_each {
            return None;
        }
        self.failed.clear();
        Some(self.ejection.begin())
    }
}

impl Ejections {
    /// The end of the ejection; `None` if there is none now.
    pub(super) fn until(&self) -> Option<Instant> {
        self.ejection.until()
    }

    /// Counts a fault. Returns the duration of the ejection if this begins one.
    pub(super) fn record_fault(&mut self) -> Option<Duration> {
        self.consecutive_faults = self.consecutive_faults.saturating_add(1);
        // Requests that were under way already, or had no other outproxy, do not prolong the ejection.
        if self.until().is_some() || self.consecutive_faults < FAULTS_BEFORE_EJECTION {
            return None;
        }
        // After an ejection, one fault is enough for the next, since no request has succeeded in between.
        Some(self.ejection.begin())
    }
}

impl Ejection {
    fn until(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }

    /// Whether none has begun yet.
    fn is_first(&self) -> bool {
        self.until.is_none()
    }

    /// Begins one. Returns its duration.
    fn begin(&mut self) -> Duration {
        let duration = self.next;
        self.until = Some(Instant::now() + duration);
        self.next = (duration * 2).min(MAX_EJECTION);
        duration
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

    /// Records these outcomes of clients. Returns the duration of the ejection that the last one begins.
    fn record(health: &Health, users: &[u32], outcome: &Result<(), OutproxyFailure>) -> Option<Duration> {
        let mut last = None;
        for user in users {
            assert_eq!(last, None, "one before the last");
            last = health.record(client(*user), outcome);
        }
        last
    }

    #[tokio::test(start_paused = true)]
    async fn three_faults_in_a_row_eject_for_an_identity_and_then_each_one_for_longer() {
        let mut ejections = Ejections::default();
        assert_eq!((ejections.record_fault(), ejections.record_fault()), (None, None));
        assert_eq!(ejections.record_fault(), Some(FIRST_EJECTION));
        assert_eq!(ejections.record_fault(), None, "it is out already");
        let mut expected = FIRST_EJECTION;
        for _ in 0..8 {
            advance(expected - Duration::from_millis(1)).await;
            assert!(ejections.until().is_some());
            advance(Duration::from_millis(1)).await;
            assert!(ejections.until().is_none());
            expected = (expected * 2).min(Duration::from_secs(1800));
            assert_eq!(ejections.record_fault(), Some(expected));
        }
        assert_eq!(expected, Duration::from_secs(1800));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_one_client_never_eject_for_all() {
        let health = Health::new("a".into());
        assert_eq!(record(&health, &[1; 100], &FAULT), None);
        assert_eq!(record(&health, &[2, 2], &FAULT), None, "nor with what anyone may experience");
        assert_eq!(record(&health, &[1; 100], &FAULT), None);
        assert_eq!(record(&health, &[2], &FAULT), Some(FIRST_EJECTION), "he has three of his own");
        assert_eq!(health.status().ejected_for, Some(FIRST_EJECTION));
        advance(FIRST_EJECTION).await;
        assert_eq!(health.ejected_until(), None);
        assert_eq!(record(&health, &[1; 100], &FAULT), None, "nor does one prolong it");
        assert_eq!(record(&health, &[3], &FAULT), Some(2 * FIRST_EJECTION));
        assert_eq!(record(&health, &[1, 2, 3], &FAULT), None, "it is out already");
        assert_eq!(health.status().ejections, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_contained_programs_never_eject_for_all() {
        let health = Health::new("a".into());
        for run in 0..100 {
            let run = Some(ClientAddress::Contained(run).into());
            assert_eq!(health.record(run, &FAULT), None);
        }
        assert_eq!(record(&health, &[1, 1, 1], &FAULT), Some(FIRST_EJECTION), "they have three together");
    }

    #[tokio::test(start_paused = true)]
    async fn six_faults_of_several_clients_eject_for_all() {
        let health = Health::new("a".into());
        assert_eq!(record(&health, &[1, 2, 3, 4, 5, 6], &FAULT), Some(FIRST_EJECTION));
        // An ejected outproxy is still tried if all are ejected. A success ends the ejection.
        assert_eq!(record(&health, &[1], &Ok(())), None);
        assert_eq!(health.ejected_until(), None);
        assert_eq!(record(&health, &[1, 2, 1, 2, 1], &FAULT), None);
        assert_eq!(record(&health, &[2], &FAULT), Some(FIRST_EJECTION));
    }

    #[tokio::test(start_paused = true)]
    async fn only_its_own_faults_count_and_a_success_resets_them() {
        let health = Health::new("a".into());
        let request = OutproxyFailure::Request(OutproxyFault::Closed);
        for outcome in [OutproxyFailure::Declined, OutproxyFailure::Router(Failure::NoTunnels), request] {
            assert_eq!(record(&health, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &Err(outcome)), None);
        }
        for good in [Ok(()), Err(OutproxyFailure::Target(Failure::Refused))] {
            assert_eq!(record(&health, &[1, 2, 3, 4, 5], &FAULT), None);
            assert_eq!(record(&health, &[1], &good), None);
        }
        assert_eq!(record(&health, &[1, 2, 3, 4, 5], &FAULT), None);
        // A declined request in between changes nothing.
        assert_eq!(record(&health, &[1], &Err(OutproxyFailure::Declined)), None);
        assert!(record(&health, &[6], &FAULT).is_some());
        let status = health.status();
        let counts = (status.successes, status.target_failures, status.declined, status.router_failures);
        assert_eq!(counts, (1, 1, 11, 10));
        assert_eq!(
            status.faults,
            BTreeMap::from([(OutproxyFault::TimedOut, 16), (OutproxyFault::Closed, 10)])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_says_how_long_an_identity_skips_it_at_most() {
        let health = Health::new("a".into());
        assert_eq!(health.status().ejected_for_some, None);
        health.note_ejection_for_one(Duration::from_secs(120));
        health.note_ejection_for_one(Duration::from_secs(60));
        let status = health.status();
        assert_eq!((status.ejected_for, status.ejected_for_some), (None, Some(Duration::from_secs(120))));
        advance(Duration::from_secs(120)).await;
        assert_eq!(health.status().ejected_for_some, None);
    }
}
