//! The log of a router process, which appears in the log of the program that started it.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};

use super::protocol::{LogLevel, LogLevels, MAX_SHOWN, Report, Sender, printable};

/// The longest line that is sent, in bytes. Longer ones are cut.
const MAX_LINE_BYTES: usize = MAX_SHOWN;

/// How many lines per second are passed on. A router process that has been taken over could fill the disk otherwise.
const MAX_LINES_PER_SECOND: u32 = 200;

/// Log targets of this crate. Others are emissary's, which name destinations.
const OURS: &str = "i2p_embedded";

/// The levels that the log of this program wants now.
pub(super) fn wanted_levels() -> LogLevels {
    macro_rules! most {
        ($target:literal) => {
            [
                (LogLevel::Trace, tracing::enabled!(target: $target, Level::TRACE)),
                (LogLevel::Debug, tracing::enabled!(target: $target, Level::DEBUG)),
                (LogLevel::Info, tracing::enabled!(target: $target, Level::INFO)),
                (LogLevel::Warn, tracing::enabled!(target: $target, Level::WARN)),
                (LogLevel::Error, tracing::enabled!(target: $target, Level::ERROR)),
            ]
            .into_iter()
            .find_map(|(level, enabled)| enabled.then_some(level))
        };
    }
    LogLevels { ours: most!("i2p_embedded"), emissary: most!("emissary") }
}

/// Writes lines of a router process into the log of this program, up to a number per second.
#[derive(Debug)]
pub(super) struct LogOutput {
    second: Instant,
    lines: u32,
}

impl LogOutput {
    pub(super) fn new() -> Self {
        Self { second: Instant::now(), lines: 0 }
    }

    pub(super) fn write(&mut self, level: LogLevel, of_emissary: bool, text: &str) {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LINES_PER_SECOND {
            if self.lines == MAX_LINES_PER_SECOND + 1 {
                tracing::warn!(
                    "the embedded router writes more than {MAX_LINES_PER_SECOND} lines per second into its log; the others are left out"
                );
            }
            return;
        }
        let text = printable(text);
        macro_rules! write {
            ($($level:ident => $constant:ident),*) => {
                match (level, of_emissary) {
                    $(
                        (LogLevel::$level, false) => tracing::event!(target: "i2p_embedded", Level::$constant, "{text}"),
                        (LogLevel::$level, true) => tracing::event!(target: "emissary", Level::$constant, "{text}"),
                    )*
                }
            };
        }
        write!(Error => ERROR, Warn => WARN, Info => INFO, Debug => DEBUG, Trace => TRACE);
    }
}

/// In the router process: sends the events of its log to the program.
pub(super) struct ForwardedLog {
    pub(super) sender: Arc<Sender>,
    pub(super) levels: LogLevels,
}

impl Subscriber for ForwardedLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with(OURS);
        let most = if ours { self.levels.ours } else { self.levels.emissary };
        most.is_some_and(|most| level(*metadata.level()) <= most)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.levels.ours.max(self.levels.emissary) {
            None => LevelFilter::OFF,
            Some(LogLevel::Error) => LevelFilter::ERROR,
            Some(LogLevel::Warn) => LevelFilter::WARN,
            Some(LogLevel::Info) => LevelFilter::INFO,
            Some(LogLevel::Debug) => LevelFilter::DEBUG,
            Some(LogLevel::Trace) => LevelFilter::TRACE,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(String::new());
        event.record(&mut line);
        let of_emissary = !metadata.target().starts_with(OURS);
        let report = Report::Log { level: level(*metadata.level()), of_emissary, text: line.0 };
        // If the program is gone, this process ends too.
        let _ = self.sender.send(&report);
    }

    // Spans are not used.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        _ => LogLevel::Trace,
    }
}

/// The message of an event, and its fields behind it.
struct Line(String);

impl Line {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.0.len() > MAX_LINE_BYTES {
            return;
        }
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value}"),
            name => write!(self.0, " {name}={value}"),
        };
        while self.0.len() > MAX_LINE_BYTES {
            self.0.pop();
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::protocol::{MAX_REPORT_BYTES, read};

    #[test]
    fn events_are_forwarded_with_their_fields_as_far_as_the_program_wants_them() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let levels = LogLevels { ours: Some(LogLevel::Info), emissary: None };
        let log = ForwardedLog { sender: Arc::new(Sender::new(ours)), levels };
        tracing::subscriber::with_default(log, || {
            tracing::warn!(target: "emissary::sam", "names a destination");
            tracing::debug!("too much");
            tracing::info!(routers = 7, server = %"a.example", "a server has answered");
            tracing::warn!("{}", "é".repeat(MAX_LINE_BYTES));
        });
        let mut next = || match read(&mut theirs, MAX_REPORT_BYTES) {
            Ok(Report::Log { level, of_emissary: false, text }) => (level, text),
            other => panic!("{other:?}"),
        };
        let (level, text) = next();
        assert_eq!(level, LogLevel::Info);
        assert_eq!(text, "a server has answered routers=7 server=a.example");
        assert_eq!(next().1.len(), MAX_LINE_BYTES);
        assert!(read::<Report>(&mut theirs, MAX_REPORT_BYTES).is_err(), "nothing else");
    }

    #[test]
    fn a_flood_of_lines_is_cut() {
        // All in one second, however slow this machine is.
        let mut output = LogOutput { second: Instant::now() + Duration::from_secs(3600), lines: 0 };
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let levels = LogLevels { ours: Some(LogLevel::Trace), emissary: None };
        let log = ForwardedLog { sender: Arc::new(Sender::new(ours)), levels };
        // The socket holds fewer lines than are written.
        let lines = std::thread::spawn(move || {
            let mut texts = Vec::new();
            while let Ok(Report::Log { text, .. }) = read(&mut theirs, MAX_REPORT_BYTES) {
                texts.push(text);
            }
            texts
        });
        tracing::subscriber::with_default(log, || {
            (0..MAX_LINES_PER_SECOND + 50).for_each(|_| output.write(LogLevel::Trace, false, "x"));
        });
        let lines = lines.join().unwrap();
        let (of_router, ours): (Vec<_>, Vec<_>) = lines.iter().partition(|line| *line == "x");
        assert_eq!(of_router.len(), MAX_LINES_PER_SECOND as usize);
        assert!(ours.len() == 1 && ours[0].contains("the others are left out"), "{ours:?}");
    }
}
