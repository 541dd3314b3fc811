//! Waiting for a condition.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

/// Longest wait for what takes no time.
pub(crate) const SHORTLY: Duration = Duration::from_secs(20);

/// Waits until the condition holds. Returns how long that took.
///
/// # Errors
/// It does not hold within the limit.
pub(crate) async fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<Duration> {
    let begin = Instant::now();
    while !holds() {
        ensure!(begin.elapsed() < limit, "{what}: not within {:.1} s", limit.as_secs_f64());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(begin.elapsed())
}
