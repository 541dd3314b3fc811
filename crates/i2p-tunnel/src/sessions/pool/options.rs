use std::{num::NonZeroUsize, time::Duration};

use i2p_sam::{BackOff, Identity, SessionOptions};
use tokio::time::{Instant, sleep_until};

use crate::failure::Failure;

/// Settings of a session pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Settings of each session.
    pub session: SessionOptions,
    /// Whether a session keeps its keys when it is built again after it was lost or closed for being unused.
    pub identity: Identity,
    /// Most sessions at one time, including spares and sessions being built. Each session costs the network tunnels. Sessions
    /// that were replaced by [`SessionPool::renew_all`](super::SessionPool::renew_all) or
    /// [`SessionPool::reconfigure`](super::SessionPool::reconfigure) and still have open streams are not included; there can be
    /// as many again of those.
    ///
    /// One client ([`ClientOrigin`](crate::ClientOrigin)) gets three quarters of those that others do not use. When there is none
    /// left, the client that holds most gives up one that it does not use. Each client can open twice as many sessions in quick
    /// succession, at least 16, and then as many in a minute, at least 8.
    pub max_sessions: NonZeroUsize,
    /// How long a session may be unused before it is closed. `None`: it is never closed for this.
    pub idle_close: Option<Duration>,
    /// Number of sessions that are kept ready for future clients. They are built one after the other, after random pauses of up to
    /// [`BackOff::unasked`].
    pub warm_spares: usize,
    /// Whether the first session is built only when the first client connects. Otherwise it is built at once.
    pub delay_open: bool,
    /// Delays between attempts to build a session.
    pub back_off: BackOff,
    /// Whose the sessions are, for the log, as the end of a sentence: `for tunnel main`. Empty if there is only one pool.
    pub whose: String,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            session: SessionOptions::default(),
            identity: Identity::New,
            max_sessions: NonZeroUsize::MIN.saturating_add(11),
            idle_close: Some(Duration::from_secs(30 * 60)),
            warm_spares: 0,
            delay_open: false,
            back_off: BackOff::default(),
            whose: String::new(),
        }
    }
}

impl PoolOptions {
    /// How many spares are built at the start: the first client is to find a session.
    pub(super) fn spares_at_start(&self) -> usize {
        self.warm_spares.max(usize::from(!self.delay_open))
    }

    /// Whether a session built with `other` is like one built with these.
    pub(super) fn builds_same_sessions(&self, other: &Self) -> bool {
        self.session == other.session && self.identity == other.identity
    }
}

/// Why a key gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLease {
    /// All sessions are in use by clients that are isolated from this one, or kept for them.
    PoolFull,
    /// The client has its share of the sessions, and all of them are in use.
    ShareUsed,
    /// The client has opened many sessions in a short time. It may open the next one at this time.
    TooFast(Instant),
}

impl NoLease {
    /// Waits until the client may ask again, if that is before `patience` ends.
    ///
    /// # Errors
    /// [`Failure::SessionShare`] or [`Failure::TooManySessions`]: it need not ask again.
    pub(crate) async fn wait(self, patience: Instant) -> Result<(), Failure> {
        match self {
            Self::TooFast(next) if next <= patience => {
                sleep_until(next).await;
                Ok(())
            }
            Self::ShareUsed | Self::TooFast(_) => Err(Failure::SessionShare),
            Self::PoolFull => Err(Failure::TooManySessions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_waits_for_its_turn_only_as_long_as_a_request_may_wait() {
        let begin = Instant::now();
        let (soon, late) = (begin + Duration::from_secs(3), begin + Duration::from_secs(31));
        let patience = begin + Duration::from_secs(30);
        assert_eq!(NoLease::TooFast(soon).wait(patience).await, Ok(()));
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        for (none, failure) in [
            (NoLease::TooFast(late), Failure::SessionShare),
            (NoLease::ShareUsed, Failure::SessionShare),
            (NoLease::PoolFull, Failure::TooManySessions),
        ] {
            assert_eq!(none.wait(patience).await, Err(failure));
        }
        assert_eq!(begin.elapsed(), Duration::from_secs(3), "the others are told at once");
    }
}
