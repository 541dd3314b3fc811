use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How a listener and its connections come to their end, in three steps of which the first may be the last: no more clients
/// ([`Stop::close`]), no more connections that do nothing ([`Stop::drain`]), no more connections ([`Stop::end`]). Clones are the
/// same.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    closed: CancellationToken,
    draining: CancellationToken,
    ended: CancellationToken,
    quiet: Arc<OnceLock<Duration>>,
}

impl Stop {
    /// Nothing is stopped yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes no more clients. Connections go on until they end by themselves.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Takes no more clients, and ends what does nothing: connections that have not made a request yet, and streams that have
    /// moved nothing for as long as `quiet`. Requests and transfers that are under way go on.
    pub fn drain(&self, quiet: Duration) {
        // Told a second time: the first is in force.
        let _ = self.quiet.set(quiet);
        self.closed.cancel();
        self.draining.cancel();
    }

    /// Ends everything, whatever it does.
    pub fn end(&self) {
        self.closed.cancel();
        self.draining.cancel();
        self.ended.cancel();
    }

    /// Comes back when no more clients are to be taken.
    pub(crate) async fn cancelled(&self) {
        self.closed.cancelled().await;
    }

    /// The life of a connection, up to the end of all.
    pub(crate) async fn run_until_cancelled<T>(&self, life: impl Future<Output = T>) -> Option<T> {
        self.ended.run_until_cancelled(life).await
    }

    /// Work that nobody has asked for yet: given up as soon as connections that do nothing are.
    pub(crate) async fn unless_draining<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        self.draining.run_until_cancelled(work).await.ok_or_else(told_to_stop)
    }

    /// Comes back when what counts here in bytes is to end for doing nothing. Thousands of streams wait here.
    #[expect(clippy::manual_async_fn, reason = "the arguments of an async fn are in its future twice")]
    pub(crate) fn quiet(&self, moved: impl Fn() -> u64) -> impl Future<Output = io::Error> {
        async move {
            self.draining.cancelled().await;
            let quiet = self.quiet.get().copied().unwrap_or_default();
            loop {
                let before = moved();
                // In a place of its own: few are told at any time.
                Box::pin(sleep(quiet)).await;
                if moved() == before {
                    return told_to_stop();
                }
            }
        }
    }
}

fn told_to_stop() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "told to stop")
}

/// All three steps in one, when the token is cancelled.
impl From<CancellationToken> for Stop {
    fn from(token: CancellationToken) -> Self {
        Self {
            closed: token.child_token(),
            draining: token.child_token(),
            ended: token,
            quiet: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use tokio::time::{Instant, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn each_step_ends_what_it_says_and_no_more() {
        let stop = Stop::new();
        stop.close();
        stop.cancelled().await;
        assert!(timeout(LONG, stop.unless_draining(std::future::pending::<()>())).await.is_err());
        stop.drain(Duration::from_secs(2));
        assert!(stop.unless_draining(std::future::pending::<()>()).await.is_err());
        assert!(timeout(LONG, stop.run_until_cancelled(std::future::pending::<()>())).await.is_err());
        stop.end();
        assert!(stop.run_until_cancelled(std::future::pending::<()>()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_quiet_only_once_it_has_stopped() {
        let (stop, moved) = (Stop::new(), AtomicU64::new(0));
        let start = Instant::now();
        assert!(timeout(LONG, stop.quiet(|| moved.load(Relaxed))).await.is_err(), "before it is told");
        let told = Instant::now();
        assert_eq!(told - start, LONG);
        stop.drain(Duration::from_secs(2));
        let transfer = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(1)).await;
                moved.fetch_add(1, Relaxed);
            }
        };
        tokio::join!(transfer, stop.quiet(|| moved.load(Relaxed)));
        assert_eq!(told.elapsed(), Duration::from_secs(12), "ten of the transfer, two of silence");
    }

    #[tokio::test]
    async fn a_token_is_all_steps_at_once() {
        let token = CancellationToken::new();
        let stop = Stop::from(token.clone());
        token.cancel();
        stop.cancelled().await;
        assert!(stop.unless_draining(std::future::pending::<()>()).await.is_err());
        assert!(stop.run_until_cancelled(std::future::pending::<()>()).await.is_none());
    }
}
