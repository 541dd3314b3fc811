//! What held, what broke and what did not apply.

use std::{
    fmt,
    future::Future,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

/// The outcome of a run. Displays as a summary that ends with what failed.
#[derive(Debug)]
pub struct Report {
    peer: String,
    held: AtomicU32,
    not_applicable: AtomicU32,
    failed: Mutex<Vec<String>>,
}

/// How a check that came to its end went.
pub(crate) enum Verdict {
    /// The promise holds; what the router did, where that is worth a line in a table.
    Holds(String),
    /// This router does not claim what would be checked.
    NotApplicable(String),
}

/// Which promise broke, and what the router said.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a check comes to.
pub(crate) type Outcome = Result<Verdict, Failure>;

/// [`Verdict::Holds`], and what was seen.
#[allow(clippy::unnecessary_wraps, reason = "the last line of every check")]
pub(crate) fn holds(seen: impl Into<String>) -> Outcome {
    Ok(Verdict::Holds(seen.into()))
}

/// Fails with `what`, unless it is so.
pub(crate) fn ensure(so: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if so { Ok(()) } else { Err(Failure(what())) }
}

/// Says of an error what was promised.
pub(crate) trait Promised<T> {
    /// The value, or a failure: this was promised, and this came of it.
    fn promised(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Promised<T> for Result<T, E> {
    fn promised(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("promised: {what}; {error}")))
    }
}

impl Report {
    pub(crate) fn new(peer: &str) -> Self {
        Self {
            peer: peer.into(),
            held: AtomicU32::new(0),
            not_applicable: AtomicU32::new(0),
            failed: Mutex::default(),
        }
    }

    /// Whether checks were made and none failed.
    #[must_use]
    pub fn all_hold(&self) -> bool {
        self.held.load(Relaxed) > 0 && self.failures().is_empty()
    }

    /// The lines of the checks that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does a check and prints its line.
    pub(crate) async fn check(&self, name: &str, work: impl Future<Output = Outcome>) {
        let start = Instant::now();
        let outcome = Box::pin(work).await;
        let seconds = start.elapsed().as_secs_f64();
        let peer = &self.peer;
        match outcome {
            Ok(Verdict::Holds(seen)) => {
                self.held.fetch_add(1, Relaxed);
                let seen = if seen.is_empty() { seen } else { format!(": {seen}") };
                println!("ok     {peer}: {name}{seen} ({seconds:.1} s)");
            }
            Ok(Verdict::NotApplicable(why)) => {
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

impl fmt::Display for Report {
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
    async fn a_report_is_as_good_as_its_worst_check() {
        let report = Report::new("peer");
        assert!(!report.all_hold(), "nothing was checked");
        report.check("a", async { Ok(Verdict::NotApplicable("no such thing".into())) }).await;
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
