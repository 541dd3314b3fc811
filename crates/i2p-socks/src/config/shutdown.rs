//! `[shutdown]`: how the proxy comes to its end.

use std::time::Duration;

use serde::Deserialize;

use super::values::OptionalTime;

/// `[shutdown]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ShutdownConfig {
    /// How long what is under way may go on.
    grace: OptionalTime,
    /// How long a stream may move nothing meanwhile.
    idle: OptionalTime,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        let seconds = |seconds| OptionalTime(Some(Duration::from_secs(seconds)));
        Self { grace: seconds(10), idle: seconds(2) }
    }
}

impl ShutdownConfig {
    /// How long what is under way may go on; zero ends all at once.
    pub(crate) fn grace(&self) -> Duration {
        self.grace.0.unwrap_or_default()
    }

    /// How long a stream may move nothing meanwhile; zero ends all that does not move at this moment.
    pub(crate) fn idle(&self) -> Duration {
        self.idle.0.unwrap_or_default()
    }
}
