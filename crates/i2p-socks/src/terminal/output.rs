//! What commands print on stdout and stderr.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::side_channel::SideChannel;
use crate::{
    command_error::{CommandError, USAGE},
    config::log::LogFormat,
    json,
};

/// Prints an error of clap and returns our exit code. `--help` and `--version` arrive here, too, and are no errors.
pub(crate) fn report_parse_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader of stdout who has left has what it wanted.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    match json_line("ERROR", message) {
        Some(line) => write_stderr(line.into_bytes()),
        // If nobody reads stderr, the exit code still shows it.
        None => drop(error.print()),
    }
    ExitCode::from(USAGE)
}

/// Whether every line on stderr is a JSON object: `format = "json"` under `[log]`.
static WRITES_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the form of remarks, errors and progress to that of the log.
pub(crate) fn set_stderr_format(format: LogFormat) {
    WRITES_JSON.store(format == LogFormat::Json, Relaxed);
}

static STDOUT: SideChannel = SideChannel::new("stdout", |_| ());
static STDERR: SideChannel = SideChannel::new("stderr", |lost| {
    let text = format!("{lost} lines are missing here, because nobody read stderr");
    let line = json_line("WARN", &text).unwrap_or_else(|| format!("i2p-socks: {text}\n"));
    let _ = io::stderr().write_all(line.as_bytes());
});

/// A line for stderr with its end: the text, or an object.
pub(super) fn stderr_line(text: &str) -> String {
    json_line("INFO", text).unwrap_or_else(|| format!("{text}\n"))
}

/// Does this, which writes so many bytes to stderr, after all that is written there already. Does not wait.
pub(super) fn on_stderr(bytes: usize, write: impl FnOnce() + Send + 'static) {
    STDERR.send(bytes, write);
}

/// Writes to stderr. Does not wait.
pub(super) fn write_stderr(bytes: Vec<u8>) {
    // If nobody reads stderr, the exit code still shows it.
    on_stderr(bytes.len(), move || drop(io::stderr().write_all(&bytes)));
}

/// Prints what a service tells on stdout, beside its work. Does not wait. `failed` is called if stdout cannot be written.
pub(crate) fn announce(text: String, failed: impl FnOnce(io::Error) + Send + 'static) {
    STDOUT.send(text.len(), move || {
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            failed(error);
        }
    });
}

/// Waits until all is written, at most this long. Call it at the end of the process.
pub(crate) fn flush(limit: Option<Duration>) {
    // Its failures go to stderr.
    STDOUT.flush(limit);
    STDERR.flush(limit);
}

/// An object like those of a log in JSON, with the end of the line; `None` if lines are text.
fn json_line(level: &str, message: &str) -> Option<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        timestamp: String,
        level: &'a str,
        message: &'a str,
    }
    if !WRITES_JSON.load(Relaxed) {
        return None;
    }
    let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    serde_json::to_string(&Line { timestamp, level, message }).ok().map(|object| object + "\n")
}

/// Prints a remark on stderr, for people who would otherwise see nothing at all. Programs read stdout.
pub(crate) fn remark(text: &str) {
    write_stderr(stderr_line(text).into_bytes());
}

/// Prints an error on stderr and returns its exit code.
pub(crate) fn report(error: &CommandError) -> ExitCode {
    let line = json_line("ERROR", &error.to_string()).unwrap_or_else(|| format!("i2p-socks: {error}\n"));
    write_stderr(line.into_bytes());
    error.exit_code()
}

/// Prints the prompt of a question to a person, without an end of line. Programs that read objects get none.
pub(crate) fn prompt(text: &str) {
    if !WRITES_JSON.load(Relaxed) {
        // Without a prompt it works, too.
        let _ = io::stderr().write_all(text.as_bytes());
    }
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

/// Prints the result of a command on stdout. A reader that has left early, as `head` does, is no failure: it has what it wanted.
///
/// # Errors
/// Stdout cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    print_part(text.as_bytes()).map(drop)
}

/// Prints a part of a result, as [`print()`] does. `Break`: the reader has left, so the rest need not be made.
///
/// # Errors
/// Stdout cannot be written for another reason.
pub(crate) fn print_part(bytes: &[u8]) -> Result<ControlFlow<()>, CommandError> {
    let mut out = io::stdout().lock();
    wanted(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Whether the reader of stdout wants more, from the outcome of a write to stdout.
///
/// # Errors
/// Stdout cannot be written, although its reader has not left.
pub(crate) fn wanted(written: io::Result<()>) -> Result<ControlFlow<()>, CommandError> {
    match written {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(CommandError::run_time(format_args!("cannot write to stdout: {error}"))),
    }
}
