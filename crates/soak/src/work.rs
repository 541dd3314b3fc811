//! Counts the work of the clients, and what failed of it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::time::Instant;

/// After a start of the router, failures count only after this time.
const SETTLING_TIME: Duration = Duration::from_secs(60);
/// The per cent that may fail although the router is up, since i2pd now and then loses a stream.
const TOLERATED_PERCENT: u64 = 2;

/// Whether the proxy's router is up, as recorded by the code that kills and starts it.
#[derive(Default)]
pub(super) struct RouterState(Mutex<Times>);

#[derive(Default, Clone, Copy)]
struct Times {
    /// When it was started. Nothing while it is down.
    up_since: Option<Instant>,
    kills: u64,
}

/// The state of the router when some work starts.
#[derive(Clone, Copy)]
pub(super) struct Snapshot(Times, Instant);

impl RouterState {
    /// Records that it is up from now on.
    pub(super) fn set_up(&self) {
        locked(&self.0).up_since = Some(Instant::now());
    }

    /// Records that it is down from now on.
    pub(super) fn set_down(&self) {
        let mut times = locked(&self.0);
        times.up_since = None;
        times.kills += 1;
    }

    /// Its state now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(*locked(&self.0), Instant::now())
    }

    /// Returns whether the router was up long before the snapshot and has not been killed since.
    pub(super) fn was_up_since_long_before(&self, Snapshot(then, start): Snapshot) -> bool {
        let settled = then.up_since.is_some_and(|up| start.duration_since(up) >= SETTLING_TIME);
        settled && locked(&self.0).kills == then.kills
    }
}

/// How often a kind of work has succeeded and failed.
#[derive(Default, Clone, Copy)]
struct Count {
    succeeded: u64,
    /// Failures while the router was down or had just been started.
    excused: u64,
    failed: u64,
}

/// The counts of all kinds of work.
#[derive(Default)]
pub(super) struct WorkCounts(Mutex<BTreeMap<&'static str, Count>>);

impl WorkCounts {
    /// Counts some work that has succeeded.
    pub(super) fn record_success(&self, kind: &'static str) {
        self.count(kind, |count| count.succeeded += 1);
    }

    /// Counts some work that has failed although the router was up.
    pub(super) fn record_failure(&self, kind: &'static str) {
        self.count(kind, |count| count.failed += 1);
    }

    /// Counts some work that has failed because the router was down.
    pub(super) fn record_excused_failure(&self, kind: &'static str) {
        self.count(kind, |count| count.excused += 1);
    }

    fn count(&self, kind: &'static str, add: impl FnOnce(&mut Count)) {
        add(locked(&self.0).entry(kind).or_default());
    }

    /// Fails if more work has failed than i2pd explains.
    pub(super) fn verdict(&self) -> Result<()> {
        let counts = locked(&self.0);
        let sum = |of: fn(&Count) -> u64| counts.values().map(of).sum::<u64>();
        let (succeeded, failed) = (sum(|count| count.succeeded), sum(|count| count.failed));
        ensure!(succeeded > 0, "nothing has succeeded");
        let all = succeeded + failed;
        ensure!(
            failed * 100 <= all * TOLERATED_PERCENT,
            "{failed} of {all} failed although the router was up, more than {TOLERATED_PERCENT} %"
        );
        Ok(())
    }
}

impl fmt::Display for WorkCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, " succeeded  no router  failed")?;
        for (kind, Count { succeeded, excused, failed }) in &*locked(&self.0) {
            writeln!(f, "  {succeeded:8} {excused:10} {failed:7}  {kind}")?;
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
    fn a_router_counts_as_up_a_minute_after_its_start_and_until_it_is_killed() {
        let router = RouterState::default();
        assert!(!router.was_up_since_long_before(router.snapshot()), "it was never started");
        router.set_up();
        assert!(!router.was_up_since_long_before(router.snapshot()), "it has just been started");
        let up_since = Instant::now().checked_sub(SETTLING_TIME);
        let router = RouterState(Mutex::new(Times { up_since, kills: 3 }));
        let start = router.snapshot();
        assert!(router.was_up_since_long_before(start));
        router.set_down();
        assert!(!router.was_up_since_long_before(start), "it was killed meanwhile");
        assert!(!router.was_up_since_long_before(router.snapshot()), "it is down");
        router.set_up();
        assert!(!router.was_up_since_long_before(start), "it was killed meanwhile and is up again");
    }

    #[test]
    fn two_failures_in_a_hundred_are_tolerated_and_those_without_a_router_do_not_count() {
        let counts = WorkCounts::default();
        assert!(counts.verdict().is_err(), "nothing has succeeded");
        for _ in 0..98 {
            counts.record_success("page");
            counts.record_excused_failure("page");
        }
        for _ in 0..2 {
            counts.record_failure("upload");
        }
        counts.verdict().unwrap();
        counts.record_failure("upload");
        let error = counts.verdict().unwrap_err().to_string();
        assert_eq!(error, "3 of 101 failed although the router was up, more than 2 %");
        let table = counts.to_string();
        assert!(table.contains("        98         98       0  page\n"), "{table}");
    }
}
