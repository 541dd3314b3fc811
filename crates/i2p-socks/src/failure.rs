//! Why the program ends: a text for the person who started it, and an exit code.

use std::{fmt, io::Write, process::ExitCode};

/// Usage or configuration (EX_USAGE of sysexits.h).
pub(crate) const USAGE: u8 = 64;
/// Everything else.
const RUN_TIME: u8 = 1;

/// Why the program ends, for the person who started it: cause, consequence, what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// The command line or the configuration is at fault: exit code 64.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self { code: USAGE, text: text.to_string() }
    }

    /// Anything else: exit code 1.
    pub(crate) fn run_time(text: impl fmt::Display) -> Self {
        Self { code: RUN_TIME, text: text.to_string() }
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Nobody may be there to read it; the code says it too.
        let _ = writeln!(std::io::stderr(), "i2p-socks: {}", self.text);
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
