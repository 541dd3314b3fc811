use std::{num::NonZeroUsize, time::Duration};

use i2p_sam::{BackOff, Identity, SessionOptions};

/// What a pool's sessions are, and how many.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// What each session is.
    pub session: SessionOptions,
    /// Which keys a session has that is built again: after it was lost, or closed because nobody used it.
    pub identity: Identity,
    /// The cap: sessions at one time, spares and those that are being built included. Each costs the network tunnels. While
    /// streams are open on sessions that were replaced ([`SessionPool::renew_all`]), there may be as many of those.
    pub max_sessions: NonZeroUsize,
    /// How long a session may be unused before it is closed; for ever if not set.
    pub idle_close: Option<Duration>,
    /// Sessions that are kept ready for clients that are still to come.
    pub warm_spares: usize,
    /// Whether the first session waits for the first client. Else it is built at once.
    pub delay_open: bool,
    /// How to try again.
    pub back_off: BackOff,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            session: SessionOptions::default(),
            identity: Identity::New,
            max_sessions: NonZeroUsize::MIN.saturating_add(7),
            idle_close: Some(Duration::from_secs(30 * 60)),
            warm_spares: 0,
            delay_open: false,
            back_off: BackOff::default(),
        }
    }
}

/// No session is left for a client that must not share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {max} I2P sessions are in use by clients that are kept apart")]
pub struct PoolFull {
    /// [`PoolOptions::max_sessions`].
    pub max: NonZeroUsize,
}
