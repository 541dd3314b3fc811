//! What programs have told the servers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines, which all servers share.
#[derive(Clone, Default)]
pub(super) struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub(super) fn add(&self, line: &str) {
        self.lines().push(line.trim_end().to_owned());
    }

    /// What follows this text on the first line that begins with it.
    pub(super) fn find(&self, begin: &str) -> Option<String> {
        self.lines().iter().find_map(|line| line.strip_prefix(begin).map(str::to_owned))
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
