//! Panics: they are counted, and the log says where one happened, but not its text, which may quote what a client or a peer sent.

use std::{
    collections::HashMap,
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often one place is logged. Somebody who finds a panic must not fill the disk with it.
const INTERVAL: Duration = Duration::from_secs(60);
/// The most places that are logged within an interval.
const MAX_PLACES: usize = 32;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// How many panics there were in this process, in all tasks and threads.
pub(crate) fn count() -> u64 {
    COUNT.load(Relaxed)
}

/// Counts panics, and logs the place of each in place of its text.
pub(super) fn count_and_log() {
    let logged = Mutex::new(Places::default());
    panic::set_hook(Box::new(move |panic| {
        COUNT.fetch_add(1, Relaxed);
        let (file, line) = panic.location().map_or(("?", 0), |at| (at.file(), at.line()));
        if logged.lock().unwrap_or_else(PoisonError::into_inner).log(file, line, Instant::now()) {
            tracing::error!(
                "a task panicked at {file}:{line} and was ended. This is a bug of the program: please report it"
            );
        }
    }));
}

/// The places that were logged lately.
#[derive(Default)]
struct Places(HashMap<(String, u32), Instant>);

impl Places {
    /// Returns whether a panic at this place is to be logged now.
    fn log(&mut self, file: &str, line: u32, now: Instant) -> bool {
        self.0.retain(|_, logged| now.duration_since(*logged) < INTERVAL);
        let place = (file.to_owned(), line);
        if self.0.contains_key(&place) || self.0.len() >= MAX_PLACES {
            return false;
        }
        self.0.insert(place, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_logged_once_a_minute_and_not_too_many_are() {
        let (mut places, begin) = (Places::default(), Instant::now());
        assert!(places.log("a.rs", 1, begin));
        assert!(!places.log("a.rs", 1, begin + INTERVAL / 2));
        let others = (2..100).filter(|line| places.log("a.rs", *line, begin + INTERVAL / 2)).count();
        assert_eq!(others, MAX_PLACES - 1);
        assert!(places.log("a.rs", 1, begin + INTERVAL));
    }

    #[test]
    fn a_panic_is_counted_and_its_place_is_logged_without_its_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = tracing_subscriber::fmt().with_writer(Mutex::new(file.reopen().unwrap())).finish();
        count_and_log();
        let before = count();
        let panicked = tracing::subscriber::with_default(log, || {
            panic::catch_unwind(|| panic!("quoted from a stranger"))
        });
        // The other tests in this process want to see the text of theirs.
        drop(panic::take_hook());
        assert!(panicked.is_err() && count() > before);
        let said = std::fs::read_to_string(file.path()).unwrap();
        assert!(said.contains("a task panicked at ") && said.contains("panics.rs:"), "{said}");
        assert!(!said.contains("stranger"), "{said}");
    }
}
