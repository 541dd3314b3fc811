//! The log.

use std::io;

use i2p_tunnel::show_sensitive;
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter, format::FmtSpan},
    layer::{Layered, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use super::{log_fields::WithCommas, panics, progress::Progress};
use crate::config::{
    log::{Journald, Level, LogConfig, LogFormat},
    verbosity::Verbosity,
};

/// The log, on stderr or in the systemd journal.
pub(crate) struct Log {
    /// The verbosity on the command line.
    verbosity: Verbosity,
    filter: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Starts logging, for the life of the process. `answers`: the command prints an answer and ends, so the log does not say in between
    /// what the router can do.
    pub(crate) fn start(config: LogConfig, verbosity: Verbosity, progress: &Progress, answers: bool) -> Self {
        let mut targets = filter(config.level, verbosity);
        if answers && verbosity <= Verbosity::Normal && matches!(config.level, Level::Warn | Level::Info) {
            targets = targets.with_target(ROUTER_FOUND, LevelFilter::WARN);
        }
        let (filter, handle) = reload::Layer::new(targets);
        let output = layer(config, verbosity, progress);
        tracing_subscriber::registry().with(filter).with(output).init();
        panics::count_and_log();
        let log = Self { verbosity, filter: handle };
        if verbosity >= Verbosity::Router {
            tracing::warn!(
                "-vvv: the log of a router that the proxy runs itself (i2pd or the embedded one) names visited destinations"
            );
        }
        set_sensitive(config.sensitive);
        log
    }

    /// Applies the level and `sensitive` of a reloaded configuration. Form and place of the log stay.
    pub(crate) fn change(&self, config: LogConfig) {
        // It only fails if the subscriber is gone, and that lives as long as the process.
        let _ = self.filter.reload(filter(config.level, self.verbosity));
        set_sensitive(config.sensitive);
    }
}

/// The layers below the output.
type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;

/// Sets whether the log names hosts and clients.
fn set_sensitive(sensitive: bool) {
    show_sensitive(sensitive);
    if sensitive {
        tracing::warn!(
            "sensitive = true under [log]: at level debug and below, this log shows who connected where. Turn it off once you have \
             found the problem, and delete the log"
        );
    }
}

fn layer(
    config: LogConfig,
    verbosity: Verbosity,
    progress: &Progress,
) -> Box<dyn Layer<Filtered> + Send + Sync> {
    if config.journald == Journald::Auto
        && let Some(journal) = journal()
    {
        return journal;
    }
    let lines = fmt::layer()
        .with_writer(BesideProgress(progress.clone()))
        .with_span_events(FmtSpan::NONE)
        // Errors would go to stderr, which has just failed.
        .log_internal_errors(false);
    match config.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .with_target(verbosity > Verbosity::Normal)
            .fmt_fields(WithCommas)
            .boxed(),
    }
}

/// The systemd journal, if stderr is connected to it, as `JOURNAL_STREAM` in the environment shows (systemd.exec(5)).
#[cfg(target_os = "linux")]
fn journal() -> Option<Box<dyn Layer<Filtered> + Send + Sync>> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let (device, inode) = stream.split_once(':')?;
    let stderr = rustix::fs::fstat(io::stderr()).ok()?;
    if (device.parse(), inode.parse()) != (Ok(stderr.st_dev), Ok(stderr.st_ino)) {
        return None;
    }
    Some(tracing_journald::layer().ok()?.with_syslog_identifier("i2p-socks".into()).boxed())
}

#[cfg(not(target_os = "linux"))]
fn journal() -> Option<Box<dyn Layer<Filtered> + Send + Sync>> {
    None
}

/// The crates of this project that write to the log.
const OUR_CRATES: [&str; 6] =
    ["i2p_socks", "i2p_tunnel", "i2p_sam", "i2p_embedded", "i2p_address_book", "restart_schedule"];

/// The part of `i2p-sam` that says what a router can do.
const ROUTER_FOUND: &str = "i2p_sam::bridge::router";

/// The filter: only crates of this project, because the logs of libraries may contain names and addresses. The command line overrides
/// the configuration.
fn filter(level: Level, verbosity: Verbosity) -> Targets {
    let (others, ours) = match (verbosity, level) {
        (Verbosity::Quiet, _) | (Verbosity::Normal, Level::Warn) => (LevelFilter::OFF, LevelFilter::WARN),
        (Verbosity::Normal, Level::Info) => (LevelFilter::OFF, LevelFilter::INFO),
        (Verbosity::Debug, _) | (Verbosity::Normal, Level::Debug) => (LevelFilter::OFF, LevelFilter::DEBUG),
        (Verbosity::Trace, _) | (Verbosity::Normal, Level::Trace) => (LevelFilter::OFF, LevelFilter::TRACE),
        (Verbosity::Router, _) => (LevelFilter::INFO, LevelFilter::TRACE),
    };
    Targets::new().with_default(others).with_targets(OUR_CRATES.map(|name| (name, ours)))
}

/// Writes to stderr without breaking the progress bar.
struct BesideProgress(Progress);

impl<'a> MakeWriter<'a> for BesideProgress {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// Writes a log line, which the subscriber passes in one piece.
struct Line<'a>(&'a Progress);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.beside(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
