//! The error type of the program: a text for people, and an exit code.
//! Imports nothing of this crate.

use std::{fmt, process::ExitCode};

/// The exit code for wrong usage or configuration (EX_USAGE of sysexits.h).
pub(crate) const USAGE: u8 = 64;
/// The exit code if a program of the user's could not be started (EX_UNAVAILABLE): not one that such programs often have themselves.
const UNAVAILABLE: u8 = 69;
/// The exit code for everything else.
const RUN_TIME: u8 = 1;

/// An error for the person who runs the program: what happened, what follows from it, and what to do.
#[derive(Debug)]
pub(crate) struct CommandError {
    code: u8,
    text: String,
    /// The text for the log, if `text` quotes the configuration.
    log: Option<String>,
}

impl CommandError {
    /// The command line or the configuration is wrong: exit code 64.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self { code: USAGE, text: text.to_string(), log: None }
    }

    /// Anything else: exit code 1.
    pub(crate) fn run_time(text: impl fmt::Display) -> Self {
        Self { code: RUN_TIME, text: text.to_string(), log: None }
    }

    /// The same, if it means that a program of the user's was not started: says so, and exit code 69 in place of 1.
    pub(crate) fn without_start(self) -> Self {
        let code = if self.code == RUN_TIME { UNAVAILABLE } else { self.code };
        let with_end = |text: String| {
            format!("{text}{} The program was not started", if text.ends_with('.') { "" } else { "." })
        };
        Self { code, text: with_end(self.text), log: self.log.map(with_end) }
    }

    /// Sets what is logged in place of the text, which quotes the configuration: names and addresses in it are for the user's eyes
    /// only.
    pub(crate) fn with_log(self, log: impl fmt::Display) -> Self {
        Self { log: Some(log.to_string()), ..self }
    }

    /// The text for the log.
    pub(crate) fn for_log(&self) -> &str {
        self.log.as_deref().unwrap_or(&self.text)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
