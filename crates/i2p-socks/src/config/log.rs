//! `[log]`: what the proxy says of itself, and how.

use serde::Deserialize;

/// `[log]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LogConfig {
    /// How much, unless the command line says -v or -q.
    pub(crate) level: Level,
    /// How lines on stderr look.
    pub(crate) format: LogFormat,
    /// Whether systemd's journal gets fields and not lines.
    pub(crate) journald: Journald,
    /// Whether hosts and clients are named.
    pub(crate) sensitive: bool,
}

/// `level`: as the lines of a log are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// What went wrong.
    Warn,
    /// And what changed.
    #[default]
    Info,
    /// And each connection.
    Debug,
    /// And all the rest of ours.
    Trace,
}

/// `format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// `journald`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Journald {
    /// Where stderr is the journal.
    #[default]
    Auto,
    /// Lines on stderr everywhere.
    Never,
}

impl LogConfig {
    /// Whether the log goes where this one goes, in the same form.
    pub(super) fn goes_where(&self, other: &Self) -> bool {
        (self.format, self.journald) == (other.format, other.journald)
    }
}
