//! What commands print on stdout and stderr.

use std::{io::Write, process::ExitCode};

use crate::failure::{Failure, USAGE};

/// What clap has to say, with our exit code. `--help` and `--version` come this way too and are no errors.
pub(crate) fn parsed_badly(error: &clap::Error) -> ExitCode {
    // Nobody may be there to read it.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Says on stderr what a person would not see from nothing at all, beside what programs read on stdout.
pub(crate) fn remark(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says on stdout what a command was asked for.
///
/// # Errors
/// Nobody reads it any more.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::run_time(format_args!("cannot write to stdout: {error}")))
}
