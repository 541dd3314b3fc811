//! When feeds are read: not all at once, not by the clock, and not again and again where they cannot be read.

use std::time::Duration;

/// A feed that was never read is read within this time from the start.
const SOON: Duration = Duration::from_secs(30);
/// One that would have been read while the program was not running waits for some minutes, between these.
const LATE: (Duration, Duration) = (Duration::from_secs(2 * 60), Duration::from_secs(10 * 60));
/// How long the first wait is after a failure; each further one is twice as long.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// A number from 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without random numbers feeds are read at regular times.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

/// From the start to the first reading of a feed that was last seen so long ago, or never.
pub(super) fn first(age: Option<Duration>, every: Duration, random: f64) -> Duration {
    let Some(age) = age else { return SOON.mul_f64(random) };
    let late = LATE.0 + (LATE.1 - LATE.0).mul_f64(random);
    after_success(every, random).saturating_sub(age).max(late)
}

/// From one reading to the next.
pub(super) fn after_success(every: Duration, random: f64) -> Duration {
    every.mul_f64(0.9 + 0.2 * random)
}

/// From a failure, of so many in a row, to the next attempt.
pub(super) fn after_failure(failures: u32, every: Duration, random: f64) -> Duration {
    let wait = AGAIN.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    wait.min(every).mul_f64(0.75 + 0.5 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_never_read_is_read_soon_and_the_rest_in_its_time() {
        assert_eq!((first(None, 12 * HOUR, 0.0), first(None, 12 * HOUR, 1.0)), (Duration::ZERO, SOON));
        assert_eq!(first(Some(2 * HOUR), 12 * HOUR, 0.5), 10 * HOUR);
        assert_eq!(first(Some(100 * HOUR), 12 * HOUR, 0.0), 2 * MINUTE);
        assert_eq!(first(Some(100 * HOUR), 12 * HOUR, 1.0), 10 * MINUTE);
        assert!((0.0..=1.0).contains(&random()));
    }

    #[test]
    fn failures_are_waited_after_for_longer_and_longer() {
        assert_eq!(after_failure(1, 12 * HOUR, 0.5), 5 * MINUTE);
        assert_eq!(after_failure(3, 12 * HOUR, 0.5), 20 * MINUTE);
        for failures in [9, 32, 33, u32::MAX] {
            assert_eq!(after_failure(failures, 12 * HOUR, 0.5), 12 * HOUR, "{failures}");
        }
        assert!(after_success(HOUR, 0.0) < HOUR && after_success(HOUR, 1.0) > HOUR);
    }
}
