//! When feeds are read: not all at once, not at predictable times, and less often while they fail.

use std::time::Duration;

/// A feed that was never read is read within this time after the start.
const FIRST_READ_WITHIN: Duration = Duration::from_secs(30);
/// An overdue feed is read between these times after the start.
const OVERDUE_READ_BETWEEN: (Duration, Duration) =
    (Duration::from_secs(2 * 60), Duration::from_secs(10 * 60));
/// The wait after a first failure. It doubles with each further failure.
const FIRST_RETRY: Duration = Duration::from_secs(5 * 60);

/// A random number from 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without random numbers, feeds are read at regular times.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

/// The time from the start to the first read of a feed that was last read `age` ago, or never.
pub(super) fn first(age: Option<Duration>, every: Duration, random: f64) -> Duration {
    let Some(age) = age else { return FIRST_READ_WITHIN.mul_f64(random) };
    let late = OVERDUE_READ_BETWEEN.0 + (OVERDUE_READ_BETWEEN.1 - OVERDUE_READ_BETWEEN.0).mul_f64(random);
    after_success(every, random).saturating_sub(age).max(late)
}

/// The time from a successful read to the next read.
pub(super) fn after_success(every: Duration, random: f64) -> Duration {
    every.mul_f64(0.9 + 0.2 * random)
}

/// The time from the last of `failures` failed reads in a row to the next attempt.
pub(super) fn after_failure(failures: u32, every: Duration, random: f64) -> Duration {
    let wait = FIRST_RETRY.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    wait.min(every).mul_f64(0.75 + 0.5 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_new_feed_is_read_soon_and_others_when_they_are_due() {
        assert_eq!(
            (first(None, 12 * HOUR, 0.0), first(None, 12 * HOUR, 1.0)),
            (Duration::ZERO, FIRST_READ_WITHIN)
        );
        assert_eq!(first(Some(2 * HOUR), 12 * HOUR, 0.5), 10 * HOUR);
        assert_eq!(first(Some(100 * HOUR), 12 * HOUR, 0.0), 2 * MINUTE);
        assert_eq!(first(Some(100 * HOUR), 12 * HOUR, 1.0), 10 * MINUTE);
        assert!((0.0..=1.0).contains(&random()));
    }

    #[test]
    fn each_failure_doubles_the_wait() {
        assert_eq!(after_failure(1, 12 * HOUR, 0.5), 5 * MINUTE);
        assert_eq!(after_failure(3, 12 * HOUR, 0.5), 20 * MINUTE);
        for failures in [9, 32, 33, u32::MAX] {
            assert_eq!(after_failure(failures, 12 * HOUR, 0.5), 12 * HOUR, "{failures}");
        }
        assert!(after_success(HOUR, 0.0) < HOUR && after_success(HOUR, 1.0) > HOUR);
    }
}
