use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, sleep_until};

/// Runs `work` as long as `activity` changes within each `limit`. Returns `None` if it stops changing.
pub(super) async fn unless_idle<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    moved: impl Fn() -> u64,
    limit: Duration,
) -> Option<T> {
    loop {
        let before = moved();
        tokio::select! {
            result = work.as_mut() => return Some(result),
            () = sleep_until(Instant::now() + limit) => {
                if moved() == before {
                    return None;
                }
            }
        }
    }
}
