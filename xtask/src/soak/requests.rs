//! What came of what the clients did.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::time::Instant;

/// How long a router that was started may take until whatever fails counts.
const SETTLED: Duration = Duration::from_secs(60);
/// How many in a hundred may fail although the router has been there: i2pd loses a stream now and then.
const TOLERATED: u64 = 2;

/// Whether the proxy's router is there, as those see it who kill and start it.
#[derive(Default)]
pub(super) struct RouterState(Mutex<Times>);

#[derive(Default, Clone, Copy)]
struct Times {
    /// When it was started; nothing while it is away.
    up_since: Option<Instant>,
    kills: u64,
}

/// The router at the start of some work.
#[derive(Clone, Copy)]
pub(super) struct Start(Times, Instant);

impl RouterState {
    /// It is up from now on.
    pub(super) fn is_up(&self) {
        locked(&self.0).up_since = Some(Instant::now());
    }

    /// It is away from now on.
    pub(super) fn is_away(&self) {
        let mut times = locked(&self.0);
        times.up_since = None;
        times.kills += 1;
    }

    /// How it is now.
    pub(super) fn now(&self) -> Start {
        Start(*locked(&self.0), Instant::now())
    }

    /// Whether it was there long before `start` and has not been killed since.
    pub(super) fn was_there(&self, Start(then, start): Start) -> bool {
        let settled = then.up_since.is_some_and(|up| start.duration_since(up) >= SETTLED);
        settled && locked(&self.0).kills == then.kills
    }
}

/// How often a kind of work went well and did not.
#[derive(Default, Clone, Copy)]
struct Count {
    good: u64,
    /// It failed, and the router was away or had just come back.
    excused: u64,
    failed: u64,
}

/// Counts of all kinds.
#[derive(Default)]
pub(super) struct Requests(Mutex<BTreeMap<&'static str, Count>>);

impl Requests {
    /// Takes down what came of some work. `excused`: the router was away.
    pub(super) fn record(&self, what: &'static str, good: bool, excused: bool) {
        let mut counts = locked(&self.0);
        let count = counts.entry(what).or_default();
        match (good, excused) {
            (true, _) => count.good += 1,
            (false, true) => count.excused += 1,
            (false, false) => count.failed += 1,
        }
    }

    /// Fails when more failed than i2pd can be blamed for.
    pub(super) fn verdict(&self) -> Result<()> {
        let counts = locked(&self.0);
        let sum = |of: fn(&Count) -> u64| counts.values().map(of).sum::<u64>();
        let (good, failed) = (sum(|count| count.good), sum(|count| count.failed));
        ensure!(good > 0, "nothing went well");
        let all = good + failed;
        ensure!(
            failed * 100 <= all * TOLERATED,
            "{failed} of {all} failed although the router was there, more than {TOLERATED} %"
        );
        Ok(())
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "      good  no router  failed")?;
        for (what, Count { good, excused, failed }) in &*locked(&self.0) {
            writeln!(f, "  {good:8} {excused:10} {failed:7}  {what}")?;
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_counts_as_there_a_minute_after_it_was_started_and_until_it_is_killed() {
        let router = RouterState::default();
        assert!(!router.was_there(router.now()), "it was never started");
        router.is_up();
        assert!(!router.was_there(router.now()), "it has just been started");
        let up_since = Instant::now().checked_sub(SETTLED);
        let router = RouterState(Mutex::new(Times { up_since, kills: 3 }));
        let start = router.now();
        assert!(router.was_there(start));
        router.is_away();
        assert!(!router.was_there(start), "it was killed meanwhile");
        assert!(!router.was_there(router.now()), "it is away");
        router.is_up();
        assert!(!router.was_there(start), "it was killed meanwhile and is back");
    }

    #[test]
    fn two_failures_in_a_hundred_are_tolerated_and_those_without_a_router_do_not_count() {
        let requests = Requests::default();
        assert!(requests.verdict().is_err(), "nothing went well");
        for number in 0..98 {
            requests.record("page", true, number % 2 == 0);
            requests.record("page", false, true);
        }
        for _ in 0..2 {
            requests.record("upload", false, false);
        }
        requests.verdict().unwrap();
        requests.record("upload", false, false);
        let error = requests.verdict().unwrap_err().to_string();
        assert_eq!(error, "3 of 101 failed although the router was there, more than 2 %");
        let table = requests.to_string();
        assert!(table.contains("        98         98       0  page\n"), "{table}");
    }
}
