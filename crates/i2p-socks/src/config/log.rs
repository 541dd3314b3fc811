//! `[log]`: what is logged, where and in which form.

use serde::Deserialize;

/// `[log]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LogConfig {
    /// How much is logged; -v and -q override it.
    pub(crate) level: Level,
    /// The form of lines on stderr.
    pub(crate) format: LogFormat,
    /// Whether systemd's journal gets structured fields instead of lines.
    pub(crate) journald: Journald,
    /// Whether the log names hosts and clients.
    pub(crate) sensitive: bool,
}

/// `level`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// Problems.
    Warn,
    /// Changes of state, too.
    #[default]
    Info,
    /// Each connection, too.
    Debug,
    /// Everything that this program logs.
    Trace,
}

/// `format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// `journald`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Journald {
    /// Fields for the journal, if stderr is connected to it.
    #[default]
    Auto,
    /// Always lines on stderr.
    Never,
}

impl LogFormat {
    /// The format with this name.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl LogConfig {
    /// Whether both logs go to the same place in the same form.
    pub(super) fn same_output(&self, other: &Self) -> bool {
        (self.format, self.journald) == (other.format, other.journald)
    }
}
