//! `[shutdown]`: how the proxy stops.

use std::time::Duration;

use serde::Deserialize;

use super::values::DurationOrNever;

/// `[shutdown]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ShutdownConfig {
    /// How long requests and transfers in progress may continue.
    grace: DurationOrNever,
    /// How long a stream may be idle meanwhile.
    idle: DurationOrNever,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        let seconds = |seconds| DurationOrNever(Some(Duration::from_secs(seconds)));
        Self { grace: seconds(10), idle: seconds(2) }
    }
}

impl ShutdownConfig {
    /// How long requests and transfers in progress may continue; zero ends them at once.
    pub(crate) fn grace(&self) -> Duration {
        self.grace.0.unwrap_or_default()
    }

    /// How long a stream may be idle meanwhile; zero ends every stream without data in transit.
    pub(crate) fn idle(&self) -> Duration {
        self.idle.0.unwrap_or_default()
    }
}
