use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::fault::{Fault, OutproxyTrouble};

/// So many troubles in a row, and an outproxy is left alone.
const IN_A_ROW: u32 = 3;
/// For so long the first time, and twice as long each time after that ...
const FIRST: Duration = Duration::from_secs(60);
/// ... up to this.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How an outproxy has done, for metrics and people. Numbers count from the start of the program, or from the last change to
/// its definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutproxyStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Requests that it was asked for. Those that clients gave up came to nothing that is counted below.
    pub attempts: u64,
    /// Streams that it opened.
    pub successes: u64,
    /// Requests of which it said that the target is at fault.
    pub target_failures: u64,
    /// Requests that it declined, or failed in words that do not tell whose doing it is.
    pub declined: u64,
    /// Requests that did not get to it since our router, or our sessions there, were at fault.
    pub router_failures: u64,
    /// Requests that failed through its own doing.
    pub troubles: BTreeMap<OutproxyTrouble, u64>,
    /// How often it was left alone.
    pub ejections: u64,
    /// For how long it is left alone from now on; `None`: it is asked.
    pub ejected_for: Option<Duration>,
}

impl OutproxyStatus {
    /// What became of requests, by what it is called where it is counted.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let troubles = OutproxyTrouble::ALL
            .map(|trouble| (trouble.label(), self.troubles.get(&trouble).copied().unwrap_or_default()));
        [
            ("opened", self.successes),
            ("target_failed", self.target_failures),
            ("declined", self.declined),
            ("router_failed", self.router_failures),
        ]
        .into_iter()
        .chain(troubles)
    }
}

/// What is known of an outproxy.
pub(super) struct Health {
    state: Mutex<State>,
}

struct State {
    status: OutproxyStatus,
    in_a_row: u32,
    /// For how long, when it happens again.
    next: Duration,
    until: Option<Instant>,
}

/// An outproxy is left alone from now on.
pub(super) struct Ejected {
    pub(super) lasts: Duration,
}

impl Health {
    pub(super) fn new(name: Arc<str>) -> Self {
        let status = OutproxyStatus { name, ..OutproxyStatus::default() };
        Self { state: Mutex::new(State { status, in_a_row: 0, next: FIRST, until: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn attempt(&self) {
        self.state().status.attempts += 1;
    }

    /// Counts an outcome, and says so when it leads to being left alone.
    pub(super) fn note<T>(&self, outcome: &Result<T, Fault>) -> Option<Ejected> {
        let mut state = self.state();
        let State { status, .. } = &mut *state;
        match outcome {
            Ok(_) => status.successes += 1,
            Err(Fault::Target(_)) => status.target_failures += 1,
            Err(Fault::Declined) => {
                status.declined += 1;
                return None;
            }
            Err(Fault::Router(_)) => {
                status.router_failures += 1;
                return None;
            }
            Err(Fault::Outproxy(trouble)) => {
                *status.troubles.entry(*trouble).or_default() += 1;
                return state.trouble(Instant::now());
            }
        }
        // It does what it is there for.
        (state.in_a_row, state.next, state.until) = (0, FIRST, None);
        None
    }

    /// When it is to be asked again; nothing, if now.
    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.state().until.filter(|until| *until > Instant::now())
    }

    pub(super) fn status(&self) -> OutproxyStatus {
        let state = self.state();
        let now = Instant::now();
        let ejected_for = state.until.filter(|until| *until > now).map(|until| until - now);
        OutproxyStatus { ejected_for, ..state.status.clone() }
    }
}

impl State {
    fn trouble(&mut self, now: Instant) -> Option<Ejected> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        // Requests that were under way already, or had nobody else to ask, make it no longer.
        let is_out = self.until.is_some_and(|until| until > now);
        if is_out || self.in_a_row < IN_A_ROW {
            return None;
        }
        // The first trouble after that time is enough for the next one: nothing has gone well since.
        let lasts = self.next;
        self.until = Some(now + lasts);
        self.next = (lasts * 2).min(LONGEST);
        self.status.ejections += 1;
        Some(Ejected { lasts })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::failure::Failure;

    const TROUBLE: Result<(), Fault> = Err(Fault::Outproxy(OutproxyTrouble::TimedOut));

    #[tokio::test(start_paused = true)]
    async fn three_in_a_row_and_then_one_each_time_for_longer() {
        let health = Health::new("a".into());
        assert!(health.note(&TROUBLE).is_none() && health.note(&TROUBLE).is_none());
        assert_eq!(health.note(&TROUBLE).unwrap().lasts, FIRST);
        assert!(health.note(&TROUBLE).is_none(), "it is out already");
        assert_eq!(health.status().ejected_for, Some(FIRST));
        let mut expected = FIRST;
        for _ in 0..8 {
            advance(expected - Duration::from_millis(1)).await;
            assert!(health.ejected_until().is_some());
            advance(Duration::from_millis(1)).await;
            assert!(health.ejected_until().is_none());
            expected = (expected * 2).min(Duration::from_secs(1800));
            assert_eq!(health.note(&TROUBLE).unwrap().lasts, expected);
        }
        assert_eq!(expected, Duration::from_secs(1800));
        assert_eq!(health.status().ejections, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_fault_of_its_own_does_not_count_and_what_goes_well_forgives() {
        let health = Health::new("a".into());
        for outcome in [Err(Fault::Declined), Err(Fault::Router(Failure::NoTunnels))] {
            for _ in 0..10 {
                assert!(health.note::<()>(&outcome).is_none());
            }
        }
        for good in [Ok(()), Err(Fault::Target(Failure::Refused))] {
            assert!(health.note(&TROUBLE).is_none() && health.note(&TROUBLE).is_none());
            assert!(health.note(&good).is_none());
        }
        assert!(health.note(&TROUBLE).is_none() && health.note(&TROUBLE).is_none());
        // Declining in between does not forgive.
        assert!(health.note::<()>(&Err(Fault::Declined)).is_none());
        assert!(health.note(&TROUBLE).is_some());
        let status = health.status();
        let counts = (status.successes, status.target_failures, status.declined, status.router_failures);
        assert_eq!(counts, (1, 1, 11, 10));
        assert_eq!(status.troubles, BTreeMap::from([(OutproxyTrouble::TimedOut, 7)]));
        // While it is out it may be asked all the same, where all are: doing well ends that.
        assert!(health.note(&Ok(())).is_none());
        assert!(health.ejected_until().is_none());
    }
}
