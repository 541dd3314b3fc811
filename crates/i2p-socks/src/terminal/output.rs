//! What commands print on stdout and stderr.

use std::{io::Write, process::ExitCode};

use serde::Serialize;

use crate::{
    command_error::{CommandError, USAGE},
    json,
};

/// Prints an error of clap and returns our exit code. `--help` and `--version` arrive here, too, and are no errors.
pub(crate) fn report_parse_error(error: &clap::Error) -> ExitCode {
    // If nobody reads stderr, the exit code still shows it.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints a remark on stderr, for people who would otherwise see nothing at all. Programs read stdout.
pub(crate) fn remark(text: &str) {
    // If nobody reads stderr, the exit code still shows it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The form in which a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Format {
    /// The form that the option `--json` chooses.
    pub(crate) const fn json_if(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// A result in this form; `text` makes the text.
    pub(crate) fn render<T: Serialize>(
        self,
        result: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<String, CommandError> {
        match self {
            Self::Text => Ok(text(result)),
            Self::Json => json::pretty(result).map_err(CommandError::run_time),
        }
    }
}

/// Prints the result of a command on stdout.
///
/// # Errors
/// Stdout cannot be written.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| CommandError::run_time(format_args!("cannot write to stdout: {error}")))
}
