//! The results of checks, and the report on all of them.

use std::{
    fmt,
    future::Future,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

/// The results of a run of the suite. Displays as a summary, followed by the checks that failed.
#[derive(Debug)]
pub struct ConformanceReport {
    peer: String,
    held: AtomicU32,
    not_applicable: AtomicU32,
    failed: Mutex<Vec<String>>,
}

/// The outcome of a check that did not fail.
pub(crate) enum CheckOutcome {
    /// The promise holds. The text tells what the router did, where routers differ.
    Holds(String),
    /// The router does not claim to support what would be checked. The text gives the reason.
    NotApplicable(String),
}

/// The promise that broke, and the router's answer.
#[derive(Debug)]
pub(crate) struct CheckFailure(String);

impl CheckFailure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The result of a check.
pub(crate) type CheckResult = Result<CheckOutcome, CheckFailure>;

/// [`CheckOutcome::Holds`], with what was seen.
#[allow(clippy::unnecessary_wraps, reason = "the last line of every check")]
pub(crate) fn holds(seen: impl Into<String>) -> CheckResult {
    Ok(CheckOutcome::Holds(seen.into()))
}

/// Fails with `what` unless the condition is true.
pub(crate) fn ensure(condition: bool, what: impl FnOnce() -> String) -> Result<(), CheckFailure> {
    if condition { Ok(()) } else { Err(CheckFailure(what())) }
}

/// Turns an error into the failure of a promise.
pub(crate) trait Promised<T> {
    /// The value, or a failure with the promise and the error.
    fn promised(self, what: &str) -> Result<T, CheckFailure>;
}

impl<T, E: fmt::Display> Promised<T> for Result<T, E> {
    fn promised(self, what: &str) -> Result<T, CheckFailure> {
        self.map_err(|error| CheckFailure(format!("promised: {what}; {error}")))
    }
}

impl ConformanceReport {
    pub(crate) fn new(peer: &str) -> Self {
        Self {
            peer: peer.into(),
            held: AtomicU32::new(0),
            not_applicable: AtomicU32::new(0),
            failed: Mutex::default(),
        }
    }

    /// Whether at least one promise was checked and none broke.
    #[must_use]
    pub fn all_hold(&self) -> bool {
        self.held.load(Relaxed) > 0 && self.failures().is_empty()
    }

    /// The lines of the checks that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a check and prints its line.
    pub(crate) async fn check(&self, name: &str, work: impl Future<Output = CheckResult>) {
        let start = Instant::now();
        let outcome = Box::pin(work).await;
        let seconds = start.elapsed().as_secs_f64();
        let peer = &self.peer;
        match outcome {
            Ok(CheckOutcome::Holds(seen)) => {
                self.held.fetch_add(1, Relaxed);
                let seen = if seen.is_empty() { seen } else { format!(": {seen}") };
                println!("ok     {peer}: {name}{seen} ({seconds:.1} s)");
            }
            Ok(CheckOutcome::NotApplicable(why)) => {
                self.not_applicable.fetch_add(1, Relaxed);
                println!("n/a    {peer}: {name}: {why}");
            }
            Err(failure) => {
                let line = format!("FAILED {peer}: {name}: {failure} ({seconds:.1} s)");
                println!("{line}");
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        }
    }
}

impl fmt::Display for ConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures();
        let (held, not_applicable) = (self.held.load(Relaxed), self.not_applicable.load(Relaxed));
        let failed = failures.len();
        write!(f, "{}: {held} hold, {not_applicable} not applicable, {failed} failed", self.peer)?;
        failures.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_hold_needs_a_check_and_no_failure() {
        let report = ConformanceReport::new("peer");
        assert!(!report.all_hold(), "nothing was checked");
        report.check("a", async { Ok(CheckOutcome::NotApplicable("no such thing".into())) }).await;
        assert!(!report.all_hold(), "still nothing");
        report.check("b", async { holds("") }).await;
        assert!(report.all_hold());
        let broken = Err::<(), _>("the router said no").promised("a stream");
        report.check("c", async { broken.and_then(|()| holds("")) }).await;
        assert!(!report.all_hold());
        let text = report.to_string();
        assert!(text.starts_with("peer: 1 hold, 1 not applicable, 1 failed\nFAILED peer: c: "), "{text}");
        assert!(text.contains("promised: a stream; the router said no"), "{text}");
    }
}
