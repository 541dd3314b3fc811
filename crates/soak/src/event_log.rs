//! Prints events with their time.

use std::fmt::Display;

use tokio::time::Instant;

/// Prints what happens, each line with its minute.
#[derive(Clone, Copy)]
pub(super) struct EventLog(Instant);

impl EventLog {
    /// Counts minutes from now on.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Prints a line.
    pub(super) fn print(self, event: impl Display) {
        println!("[{:.1}] {event}", self.0.elapsed().as_secs_f64() / 60.0);
    }
}
