//! Tasks that must not end before the program does.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The pause after the first panic. Each further one is twice as long ...
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// ... up to this.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// After a run of this length, the next pause is the first one again.
const LONG_RUN: Duration = Duration::from_secs(60);

/// The work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it panicked")]
pub struct Panicked;

/// Does the work, and catches its panic. What the panic leaves half-changed is the caller's concern.
///
/// # Errors
/// [`Panicked`].
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// Does the work of a task that all users of a program need, and does it again after each panic, until it returns. Without this, the
/// task would be gone and nothing would say so. `what` names it in the log.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use restart_schedule::again_after_panics;
///
/// async fn serve() {}
///
/// again_after_panics("the task that serves clients", serve).await;
/// # });
/// ```
pub async fn again_after_panics<T, F: Future<Output = T>>(
    what: &'static str,
    mut work: impl FnMut() -> F,
) -> T {
    let mut restarts = TaskRestarts::new(what);
    loop {
        if let Some(output) = restarts.run(work()).await {
            return output;
        }
    }
}

/// The panics of such a task, and the pauses after them. For tasks that have something to do after each panic, or that change what
/// they borrow; [`again_after_panics`] is for all others.
#[derive(Debug)]
pub struct TaskRestarts {
    what: &'static str,
    pause: Duration,
}

impl TaskRestarts {
    /// `what` names the task in the log: "the task that serves clients".
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, pause: FIRST_PAUSE }
    }

    /// Does the work, and returns its result. If the work panics, this logs it, waits, and returns `None`: then call it again. The
    /// wait is longer after each panic in a short time.
    pub async fn run<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let begin = Instant::now();
        if let Ok(output) = caught(work).await {
            return Some(output);
        }
        if begin.elapsed() >= LONG_RUN {
            self.pause = FIRST_PAUSE;
        }
        tracing::error!("{} has panicked. It is started again in {} ms", self.what, self.pause.as_millis());
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_run_again_after_a_pause_that_grows() {
        let mut restarts = TaskRestarts::new("a task");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let begin = Instant::now();
            assert_eq!(restarts.run(async { assert!(pauses.len() > 100, "a bug") }).await, None);
            pauses.push(begin.elapsed().as_millis());
        }
        for (pause, expected) in pauses.iter().zip([100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
            assert!((expected..expected + 5).contains(pause), "{pauses:?}");
        }
        let begin = Instant::now();
        let panics_late = async {
            sleep(LONG_RUN).await;
            assert!(begin.elapsed() < LONG_RUN, "a bug");
        };
        assert_eq!(restarts.run(panics_late).await, None);
        let pause = begin.elapsed() - LONG_RUN;
        assert!(pause < 2 * FIRST_PAUSE, "{pause:?}");
        assert_eq!(restarts.run(async { 7 }).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_done_again_until_it_returns() {
        let mut runs = 0;
        let work = || {
            runs += 1;
            let runs = runs;
            async move {
                assert!(runs > 3, "a bug");
                runs
            }
        };
        assert_eq!(again_after_panics("a task", work).await, 4);
    }
}
