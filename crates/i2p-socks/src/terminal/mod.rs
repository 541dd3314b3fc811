//! Output for people: what commands print, progress and the log.
//! May import `config`, `command_error` and `json`, and nothing else of this crate.

pub(crate) mod log;
mod log_fields;
pub(crate) mod output;
pub(crate) mod panics;
pub(crate) mod progress;
pub(crate) mod side_channel;
