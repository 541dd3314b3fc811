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

/// How long to wait for something that is tried again and again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// All attempts together.
    pub whole: Duration,
    /// One attempt. It is then cancelled, and the next one begins: what hangs, such as a stream over a tunnel that has died, must
    /// not use up the whole time.
    pub attempt: Duration,
}

/// Looks at a condition again and again until it holds, an attempt fails for good, or the limit is reached. Prints what it waits
/// for.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    attempt: impl AsyncFnMut() -> Result<Attempt<T>>,
) -> Result<T> {
    until_with(what, Patience { whole: limit, attempt: limit }, attempt).await
}

/// The same with a limit for each attempt too.
pub async fn until_with<T>(
    what: &str,
    Patience { whole, attempt: attempt_limit }: Patience,
    mut attempt: impl AsyncFnMut() -> Result<Attempt<T>>,
) -> Result<T> {
    println!("waiting: {what} (at most {} s)", whole.as_secs());
    let start = Instant::now();
    let mut reason = String::from("no answer");
    while start.elapsed() < whole {
        let attempt_end = Instant::now() + attempt_limit;
        match timeout_at(attempt_end.min(start + whole), attempt()).await {
            Ok(Ok(Attempt::Done(value))) => {
                println!("     ok: {what} ({:.1} s)", start.elapsed().as_secs_f64());
                return Ok(value);
            }
            Ok(Ok(Attempt::NotYet(why))) => reason = why,
            Ok(Err(error)) => return Err(error),
            // The attempt hangs. If it is cut off early, the reason of the one before it is the best that is known.
            Err(_) if attempt_end > start + whole => break,
            Err(_) => reason = no_answer_within(attempt_limit),
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
    bail!("{what}: not within {} s; the last reason: {reason}", whole.as_secs())
}

pub(crate) fn no_answer_within(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
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

    #[tokio::test(start_paused = true)]
    async fn after_an_attempt_that_hangs_comes_another_one() {
        let patience = Patience { whole: Duration::from_secs(60), attempt: Duration::from_secs(20) };
        let mut attempts = 0;
        let second = until_with("the sun rises", patience, async || {
            attempts += 1;
            if attempts == 1 { std::future::pending().await } else { Ok(Attempt::Done(attempts)) }
        });
        assert_eq!(second.await.unwrap(), 2);
        let never = until_with("the sun rises", patience, async || std::future::pending().await);
        let outcome: Result<()> = never.await;
        let text = outcome.unwrap_err().to_string();
        assert_eq!(text, "the sun rises: not within 60 s; the last reason: no answer within 20 s");
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
