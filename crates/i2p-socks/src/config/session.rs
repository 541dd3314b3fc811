//! `[session]`: the profile of our tunnels in I2P.

use std::{num::NonZeroUsize, time::Duration};

use i2p_sam::{Identity, SessionOptions};
use i2p_tunnel::PoolOptions;
use serde::Deserialize;

use super::values::{OptionalTime, ranged};

/// Tunnels each way that are left when Java I2P reduces them.
const REDUCED: u8 = 1;

/// `[session]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SessionConfig {
    /// Hops each way.
    #[serde(deserialize_with = "ranged::<_, 0, 7>")]
    pub(super) length: u8,
    /// Tunnels each way.
    #[serde(deserialize_with = "ranged::<_, 1, 16>")]
    pub(super) quantity: u8,
    /// Whether streams are granted before they are connected.
    pub(super) early_data: bool,
    /// When a session that nobody uses is closed.
    pub(super) idle_close: OptionalTime,
    /// When a session that nobody uses is to have fewer tunnels.
    pub(super) reduce_after: OptionalTime,
    /// Whether the first session is built for the first client, not at the start.
    pub(super) delay_open: bool,
    /// Sessions at one time.
    #[serde(deserialize_with = "ranged::<_, 1, 64>")]
    pub(super) max_sessions: u8,
    /// Sessions that are built ahead.
    #[serde(deserialize_with = "ranged::<_, 0, 8>")]
    pub(super) warm_spares: u8,
    /// Which keys a session has that is built again.
    pub(super) reopen_with: ReopenWith,
}

/// `reopen-with`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReopenWith {
    /// Others.
    #[default]
    NewKeys,
    /// The same, until the program ends.
    SameKeys,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            length: 3,
            quantity: 2,
            early_data: false,
            idle_close: OptionalTime(Some(Duration::from_secs(30 * 60))),
            reduce_after: OptionalTime(None),
            delay_open: false,
            max_sessions: 8,
            warm_spares: 0,
            reopen_with: ReopenWith::default(),
        }
    }
}

impl SessionConfig {
    /// The sessions of a pool that may have so many.
    pub(crate) fn pool(&self, max_sessions: NonZeroUsize) -> PoolOptions {
        let session =
            SessionOptions::default().length(self.length).quantity(self.quantity).early_data(self.early_data);
        PoolOptions {
            session: match self.reduce_after {
                OptionalTime(Some(after)) => session.reduce(after, REDUCED),
                OptionalTime(None) => session,
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

    /// The cap, as configured.
    pub(crate) fn max_sessions(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.max_sessions.into()).unwrap_or(NonZeroUsize::MIN)
    }
}
