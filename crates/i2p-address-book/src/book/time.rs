//! Times in the store: seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The current time.
pub(super) fn now() -> u64 {
    to_seconds(SystemTime::now())
}

/// Converts a time to seconds since 1970. Earlier times become 0.
pub(super) fn to_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Converts seconds since 1970 to a time.
pub(super) fn from_seconds(seconds: u64) -> SystemTime {
    // A time beyond the system's range was not written by this crate.
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}
