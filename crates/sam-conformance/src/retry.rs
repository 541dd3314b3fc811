//! Repeated attempts: a network takes time to find a lease set, to build a tunnel, to carry a datagram.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::report::CheckFailure;

/// The time limit of one attempt: longer than the stalls of 7 to 9 s in emissary's streaming, and than the 20 s after which
/// i2pd gives up a lease set.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(25);
/// The pause between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);

/// The value of the attempt that succeeded.
pub(crate) struct Tried<T> {
    pub(crate) value: T,
    attempts: u32,
    /// Why the attempt before it failed.
    before: Option<CheckFailure>,
}

impl<T> Tried<T> {
    /// A note for the report; empty when the first attempt succeeded.
    pub(crate) fn seen(&self) -> String {
        self.before
            .as_ref()
            .map_or_else(String::new, |why| format!("attempt {}; before: {why}", self.attempts))
    }
}

/// Repeats an attempt until it succeeds or the time is up. The failure is that of the last attempt.
pub(crate) async fn until<T>(
    limit: Duration,
    attempt: impl AsyncFnMut() -> Result<T, CheckFailure>,
) -> Result<Tried<T>, CheckFailure> {
    until_each(limit, ATTEMPT_TIMEOUT, attempt).await
}

/// As [`until`], with a time limit of `each` for one attempt.
pub(crate) async fn until_each<T>(
    limit: Duration,
    each: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, CheckFailure>,
) -> Result<Tried<T>, CheckFailure> {
    let start = Instant::now();
    let (mut attempts, mut before) = (0, None);
    loop {
        attempts += 1;
        // Boxed, here and elsewhere: the futures of the whole suite are too large for a stack.
        let why = match timeout(each, Box::pin(attempt())).await {
            Ok(Ok(value)) => return Ok(Tried { value, attempts, before }),
            Ok(Err(why)) => why,
            Err(_) => CheckFailure::new(format!("not finished within {} s", each.as_secs())),
        };
        if start.elapsed() + ATTEMPT_PAUSE >= limit {
            return Err(CheckFailure::new(format!("{attempts} attempts in {} s: {why}", limit.as_secs())));
        }
        before = Some(why);
        sleep(ATTEMPT_PAUSE).await;
    }
}

/// The value, or after the time limit a failure that names what was expected.
pub(crate) async fn within<T>(
    limit: Duration,
    what: impl fmt::Display,
    work: impl Future<Output = T>,
) -> Result<T, CheckFailure> {
    timeout(limit, work)
        .await
        .map_err(|_| CheckFailure::new(format!("not within {} s: {what}", limit.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_success_or_the_last_reason() {
        let mut count = 0;
        let third = until(Duration::from_secs(5), async || {
            count += 1;
            if count == 3 { Ok(count) } else { Err(CheckFailure::new("not yet")) }
        });
        let tried = third.await.unwrap();
        assert_eq!((tried.value, tried.seen()), (3, "attempt 3; before: not yet".into()));
        let never = until(Duration::from_secs(1), async || Err::<(), _>(CheckFailure::new("never"))).await;
        assert_eq!(never.err().unwrap().to_string(), "5 attempts in 1 s: never");
        let hangs = until(Duration::from_secs(1), async || std::future::pending::<Result<(), _>>().await);
        assert!(hangs.await.err().unwrap().to_string().contains("not finished within 25 s"));
    }
}
