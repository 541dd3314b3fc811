use std::{
    future::pending,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Stops a listener and its connections in four steps: no new clients ([`Stop::close`]), no idle connections ([`Stop::drain`]), no
/// requests that wait ([`Stop::refuse`]), no connections ([`Stop::end`]). Later steps include the earlier ones. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    closed: CancellationToken,
    draining: CancellationToken,
    refusing: CancellationToken,
    ended: CancellationToken,
    quiet: Arc<OnceLock<Duration>>,
}

impl Stop {
    /// Creates a stop that has not been triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts no more clients. Open connections continue until they end by themselves.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Accepts no more clients and ends idle connections: those without a request yet, and streams that have moved no data for
    /// `quiet`. Data moves as long as the other side takes what was sent, even if there is room for more only later. Requests and
    /// transfers under way continue.
    pub fn drain(&self, quiet: Duration) {
        // If this is the second call, the first value stays in force.
        let _ = self.quiet.set(quiet);
        self.closed.cancel();
        self.draining.cancel();
    }

    /// Refuses requests that wait for a session or for the far end, so that their clients learn why, and ends streams. Connections then
    /// end by themselves as soon as their clients have read that.
    pub fn refuse(&self) {
        self.closed.cancel();
        self.draining.cancel();
        self.refusing.cancel();
    }

    /// Ends all connections.
    pub fn end(&self) {
        self.refuse();
        self.ended.cancel();
    }

    /// Returns once no more clients are to be accepted.
    pub(crate) async fn until_closed(&self) {
        self.closed.cancelled().await;
    }

    /// Runs a connection until [`Stop::end`].
    pub(crate) async fn run_until_end<T>(&self, life: impl Future<Output = T>) -> Option<T> {
        self.ended.run_until_cancelled(life).await
    }

    /// Runs work that is not part of a request yet. It is cancelled once idle connections are ended.
    pub(crate) async fn unless_draining<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        self.draining.run_until_cancelled(work).await.ok_or_else(stopped)
    }

    /// Returns once requests that wait are to be refused.
    pub(crate) async fn until_refusing(&self) {
        self.refusing.cancelled().await;
    }

    /// Returns once draining has started and `moved` has not changed for the quiet time, or streams are to end. While it is `None`, the
    /// connection is busy, and does not end for either reason. It is not asked before draining has started. Thousands of streams wait
    /// here, so this future is small.
    #[expect(clippy::manual_async_fn, reason = "the arguments of an async fn are in its future twice")]
    pub(crate) fn until_idle<T: PartialEq>(
        &self,
        moved: impl Fn() -> Option<T>,
    ) -> impl Future<Output = io::Error> {
        async move {
            self.draining.cancelled().await;
            let quiet = self.quiet.get().copied().unwrap_or_default();
            // Boxed: few streams ever get here.
            Box::pin(async {
                let idle = async {
                    loop {
                        let before = moved();
                        sleep(quiet).await;
                        if before.is_some() && moved() == before {
                            return;
                        }
                    }
                };
                if self.refusing.run_until_cancelled(idle).await.is_none() && moved().is_none() {
                    pending::<()>().await;
                }
            })
            .await;
            stopped()
        }
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "told to stop")
}

/// Cancelling the token triggers all steps at once.
impl From<CancellationToken> for Stop {
    fn from(token: CancellationToken) -> Self {
        Self {
            closed: token.child_token(),
            draining: token.child_token(),
            refusing: token.child_token(),
            ended: token,
            quiet: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
    };

    use tokio::time::{Instant, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    /// From this count on, the stream is busy.
    const BUSY: u64 = 1000;

    #[tokio::test(start_paused = true)]
    async fn each_step_stops_only_what_it_documents() {
        let stop = Stop::new();
        stop.close();
        stop.until_closed().await;
        assert!(timeout(LONG, stop.unless_draining(pending::<()>())).await.is_err());
        stop.drain(Duration::from_secs(2));
        assert!(stop.unless_draining(pending::<()>()).await.is_err());
        assert!(timeout(LONG, stop.until_refusing()).await.is_err());
        let moved = AtomicU64::new(0);
        let moving = stop.until_idle(|| Some(moved.fetch_add(1, Relaxed)));
        let (mut moving, busy) = (pin!(moving), pin!(stop.until_idle(|| None::<()>)));
        assert!(timeout(LONG, moving.as_mut()).await.is_err());
        stop.refuse();
        stop.until_refusing().await;
        timeout(LONG, moving).await.unwrap();
        assert!(timeout(LONG, busy).await.is_err(), "it ends by itself");
        assert!(timeout(LONG, stop.run_until_end(pending::<()>())).await.is_err());
        stop.end();
        assert!(stop.run_until_end(pending::<()>()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_idle_once_it_has_moved_nothing_for_the_quiet_time() {
        let (stop, moved) = (Stop::new(), AtomicU64::new(0));
        let start = Instant::now();
        let idle = || stop.until_idle(|| Some(moved.load(Relaxed)).filter(|moved| *moved < BUSY));
        assert!(timeout(LONG, idle()).await.is_err(), "before it is told");
        let told = Instant::now();
        assert_eq!(told - start, LONG);
        stop.drain(Duration::from_secs(2));
        let transfer = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(1)).await;
                moved.fetch_add(1, Relaxed);
            }
        };
        tokio::join!(transfer, idle());
        assert_eq!(told.elapsed(), Duration::from_secs(12), "ten of the transfer, two of silence");
        moved.store(BUSY, Relaxed);
        let mut idle = pin!(idle());
        assert!(timeout(LONG, idle.as_mut()).await.is_err(), "while it is busy");
        moved.store(0, Relaxed);
        timeout(Duration::from_secs(4), idle).await.unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_token_triggers_all_steps() {
        let token = CancellationToken::new();
        let stop = Stop::from(token.clone());
        token.cancel();
        stop.until_closed().await;
        assert!(stop.unless_draining(pending::<()>()).await.is_err());
        assert!(stop.run_until_end(pending::<()>()).await.is_none());
    }
}
