use std::{fmt, io::Write, process::ExitCode};

/// Usage or configuration (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;
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
