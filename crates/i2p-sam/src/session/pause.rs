//! Pauses between attempts that fail. No request to a router is repeated without one.

use std::time::Duration;

/// The pause after this number of failures in a row: `first` after the first one, and twice the one before after each other, up to
/// `limit`. It is shortened by a random part of up to a half, so that the clients of one router do not try in step.
pub(super) fn growing_pause(first: Duration, limit: Duration, failures: u32) -> Duration {
    let whole = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(limit);
    whole.mul_f64(0.5 + random_part() / 2.0)
}

/// A random number from 0 to 1.
pub(super) fn random_part() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the whole pause is used, which is as good for a single client.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}
