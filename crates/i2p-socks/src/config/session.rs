//! `[session]`: the I2P sessions and their I2P tunnels.

use std::{num::NonZeroUsize, time::Duration};

use i2p_sam::{Identity, SessionOptions};
use i2p_tunnel::PoolOptions;
use serde::Deserialize;

use super::values::{DurationOrNever, in_range};

/// How many tunnels per direction Java I2P keeps when it reduces them.
const REDUCED_QUANTITY: u8 = 1;

/// `[session]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SessionConfig {
    /// Hops of each I2P tunnel.
    #[serde(deserialize_with = "in_range::<_, 0, 7>")]
    pub(super) length: u8,
    /// I2P tunnels in each direction.
    #[serde(deserialize_with = "in_range::<_, 1, 16>")]
    pub(super) quantity: u8,
    /// Whether a stream is reported as open before it is.
    pub(super) early_data: bool,
    /// When an unused session is closed.
    pub(super) idle_close: DurationOrNever,
    /// When an unused session gets fewer tunnels.
    pub(super) reduce_after: DurationOrNever,
    /// Whether the first session is built for the first client instead of at the start.
    pub(super) delay_open: bool,
    /// Sessions that can be open at once.
    #[serde(deserialize_with = "in_range::<_, 1, 64>")]
    pub(super) max_sessions: u8,
    /// Sessions that are built in advance.
    #[serde(deserialize_with = "in_range::<_, 0, 8>")]
    pub(super) warm_spares: u8,
    /// The keys of a session that is rebuilt.
    pub(super) reopen_with: ReopenWith,
}

/// `reopen-with`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReopenWith {
    /// New ones.
    #[default]
    NewKeys,
    /// The same as before, until the program ends.
    SameKeys,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            length: 3,
            quantity: 2,
            early_data: false,
            idle_close: DurationOrNever(Some(Duration::from_secs(30 * 60))),
            reduce_after: DurationOrNever(None),
            delay_open: false,
            max_sessions: 12,
            warm_spares: 0,
            reopen_with: ReopenWith::default(),
        }
    }
}

impl SessionConfig {
    /// The options of a pool of at most `max_sessions` sessions.
    pub(crate) fn pool(&self, max_sessions: NonZeroUsize) -> PoolOptions {
        let session =
            SessionOptions::default().length(self.length).quantity(self.quantity).early_data(self.early_data);
        PoolOptions {
            session: match self.reduce_after {
                DurationOrNever(Some(after)) => session.reduce(after, REDUCED_QUANTITY),
                DurationOrNever(None) => session,
            },
            identity: match self.reopen_with {
                ReopenWith::NewKeys => Identity::New,
                ReopenWith::SameKeys => Identity::Same,
            },
            max_sessions,
            idle_close: self.idle_close.0,
            warm_spares: self.warm_spares.into(),
            delay_open: self.delay_open,
            ..PoolOptions::default()
        }
    }

    /// The configured maximum of open sessions.
    pub(crate) fn max_sessions(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.max_sessions.into()).unwrap_or(NonZeroUsize::MIN)
    }
}
