use std::{
    fmt,
    sync::{Arc, Weak},
};

use tokio::{sync::Notify, time::Instant};

/// Something limited that a stream holds, such as its session.
pub trait Hold: Send + Sync + 'static {
    /// Called when one side of the stream has finished sending. From then on the stream can be ended if another one needs what is
    /// held here: nobody knows whether the other side still has anything to say.
    fn half_closed(&self, stream: &HalfClosedStream) {
        let _ = stream;
    }
}

/// Holds nothing.
impl Hold for () {}

/// Ends a stream of which one side has finished sending.
#[derive(Clone)]
pub struct HalfClosedStream {
    since: Instant,
    /// Gone once the stream has ended.
    end: Weak<Notify>,
}

impl HalfClosedStream {
    /// Since when it is half-closed.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Whether the stream is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.end.strong_count() > 0
    }

    /// Ends the stream. Both sides are reset, unless they have received all data.
    pub fn end(&self) {
        if let Some(end) = self.end.upgrade() {
            end.notify_one();
        }
    }
}

impl fmt::Debug for HalfClosedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HalfClosedStream").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

/// The side of a [`HalfClosedStream`] that is to end it: the relay, or the list of unused streams.
pub(crate) struct EarlyEnd(Arc<Notify>);

impl EarlyEnd {
    /// Tells what the stream holds that it is half-closed from now on.
    pub(crate) fn offer(held: [&dyn Hold; 2]) -> Self {
        let end = Arc::new(Notify::new());
        let stream = HalfClosedStream { since: Instant::now(), end: Arc::downgrade(&end) };
        held.iter().for_each(|held| held.half_closed(&stream));
        Self(end)
    }

    /// Returns once the stream is to end because what it holds is needed.
    pub(crate) async fn requested(&self) {
        self.0.notified().await;
    }
}
