//! Trying again: a network takes its time to find a lease set, to build a tunnel, to carry a datagram.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::report::Failure;

/// One attempt. Longer than the stalls of 7 to 9 s that emissary's streaming has; i2pd takes 20 s to give up a lease set.
const ATTEMPT: Duration = Duration::from_secs(25);
/// Between two attempts: a router that refuses is asked a few times a second.
const PAUSE: Duration = Duration::from_millis(200);

/// What an attempt gave in the end.
pub(crate) struct Tried<T> {
    pub(crate) value: T,
    attempts: u32,
    /// Why the one before failed.
    before: Option<Failure>,
}

impl<T> Tried<T> {
    /// For the report: nothing where it went well at once.
    pub(crate) fn seen(&self) -> String {
        self.before
            .as_ref()
            .map_or_else(String::new, |why| format!("attempt {}; before: {why}", self.attempts))
    }
}

/// Repeats an attempt until it succeeds. The failure is the last one's, and says how long that was.
pub(crate) async fn until<T>(
    limit: Duration,
    attempt: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<Tried<T>, Failure> {
    until_each(limit, ATTEMPT, attempt).await
}

/// As [`until`], where one attempt may take as long as `each`.
pub(crate) async fn until_each<T>(
    limit: Duration,
    each: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<Tried<T>, Failure> {
    let start = Instant::now();
    let (mut attempts, mut before) = (0, None);
    loop {
        attempts += 1;
        // Boxed, here and elsewhere: the futures of a whole suite are more than a stack holds.
        let why = match timeout(each, Box::pin(attempt())).await {
            Ok(Ok(value)) => return Ok(Tried { value, attempts, before }),
            Ok(Err(why)) => why,
            Err(_) => Failure::new(format!("no end within {} s", each.as_secs())),
        };
        if start.elapsed() + PAUSE >= limit {
            return Err(Failure::new(format!("{attempts} attempts in {} s: {why}", limit.as_secs())));
        }
        before = Some(why);
        sleep(PAUSE).await;
    }
}

/// The value within the limit, or a failure that says for what was waited.
pub(crate) async fn within<T>(
    limit: Duration,
    what: impl fmt::Display,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    timeout(limit, work).await.map_err(|_| Failure::new(format!("not within {} s: {what}", limit.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_success_or_the_last_reason() {
        let mut count = 0;
        let third = until(Duration::from_secs(5), async || {
            count += 1;
            if count == 3 { Ok(count) } else { Err(Failure::new("not yet")) }
        });
        let tried = third.await.unwrap();
        assert_eq!((tried.value, tried.seen()), (3, "attempt 3; before: not yet".into()));
        let never = until(Duration::from_secs(1), async || Err::<(), _>(Failure::new("never"))).await;
        assert_eq!(never.err().unwrap().to_string(), "5 attempts in 1 s: never");
        let hangs = until(Duration::from_secs(1), async || std::future::pending::<Result<(), _>>().await);
        assert!(hangs.await.err().unwrap().to_string().contains("no end within 25 s"));
    }
}
