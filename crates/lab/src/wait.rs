//! Waits for a condition within a limit.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);

/// The outcome of one look at a condition.
pub enum Attempt<T> {
    /// The condition holds.
    Done(T),
    /// It does not hold yet. The error names the last such reason when the limit is reached.
    NotYet(String),
}

impl<T> Attempt<T> {
    /// Turns every failure into "not yet".
    pub fn of<E: Display>(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(error) => Self::NotYet(format!("{error:#}")),
        }
    }
}

/// Looks at a condition again and again until it holds, an attempt fails for good, or the limit is reached. Prints what it waits
/// for.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<Attempt<T>>,
) -> Result<T> {
    println!("waiting: {what} (at most {} s)", limit.as_secs());
    let start = Instant::now();
    let mut reason = String::from("no answer");
    while start.elapsed() < limit {
        match timeout_at(start + limit, attempt()).await {
            Ok(Ok(Attempt::Done(value))) => {
                println!("     ok: {what} ({:.1} s)", start.elapsed().as_secs_f64());
                return Ok(value);
            }
            Ok(Ok(Attempt::NotYet(why))) => reason = why,
            Ok(Err(error)) => return Err(error),
            // The attempt hangs. The reason of the attempt before it is the best that is known.
            Err(_) => break,
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
    bail!("{what}: not within {} s; the last reason: {reason}", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_names_the_last_reason() {
        let limit = Duration::from_millis(20);
        let never = until("the sun rises", limit, async || Ok(Attempt::<()>::NotYet("night".into()))).await;
        let text = never.unwrap_err().to_string();
        assert_eq!(text, "the sun rises: not within 0 s; the last reason: night");
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_is_cancelled() {
        let hang = until("the sun rises", Duration::from_millis(20), async || std::future::pending().await);
        let outcome: Result<()> = hang.await;
        assert!(outcome.unwrap_err().to_string().ends_with("no answer"));
    }

    #[tokio::test]
    async fn a_condition_is_tried_again() {
        let mut looks = 0;
        let second = until("twice", Duration::from_secs(5), async || {
            looks += 1;
            Ok(if looks == 2 { Attempt::Done(looks) } else { Attempt::NotYet("once".into()) })
        });
        assert_eq!(second.await.unwrap(), 2);
    }
}
