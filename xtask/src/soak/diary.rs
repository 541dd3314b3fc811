//! Lines that say when something happened.

use std::fmt::Display;

use tokio::time::Instant;

/// Tells what happens, each with its minute.
#[derive(Clone, Copy)]
pub(super) struct Diary(Instant);

impl Diary {
    /// Minutes count from now on.
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Prints a line.
    pub(super) fn tell(self, what: impl Display) {
        println!("[{:.1}] {what}", self.0.elapsed().as_secs_f64() / 60.0);
    }
}
