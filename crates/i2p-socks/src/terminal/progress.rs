//! The progress of a slow start.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::stderr_line;
use crate::config::{log::LogFormat, verbosity::Verbosity};

/// How many steps a start has: find a router, learn about the network, build tunnels.
const STEPS: u64 = 3;
/// The text of the third step.
pub(crate) const BUILDING_TUNNELS: &str =
    "building I2P tunnels; on a router that has just started, this takes minutes";
/// How often changing numbers are printed, if there is no bar.
#[cfg(feature = "embedded")]
const REPEAT_INTERVAL: Duration = Duration::from_secs(5);

/// Shows the progress of a slow start on stderr: a bar on a terminal, lines otherwise or if the log is JSON, nothing with `--quiet`.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Without a bar: when the last line was printed.
    plain: Option<Arc<Mutex<Option<Instant>>>>,
    /// Nothing is printed any more.
    finished: Arc<AtomicBool>,
}

impl Progress {
    pub(crate) fn new(verbosity: Verbosity, format: LogFormat) -> Self {
        let shown = verbosity > Verbosity::Quiet;
        let terminal = format == LogFormat::Text && std::io::stderr().is_terminal();
        let bar = (shown && terminal).then(|| {
            let style = ProgressStyle::with_template("{spinner} [{bar:20}] {msg} ({elapsed})");
            let bar = ProgressBar::new(STEPS);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, plain: (shown && !terminal).then(Arc::default), finished: Arc::default() }
    }

    /// Shows the number and the text of the current step.
    pub(crate) fn step(&self, step: u64, text: &str) {
        self.show(step, text, Duration::ZERO);
    }

    /// Shows a text whose numbers change often.
    #[cfg(feature = "embedded")]
    pub(crate) fn update(&self, step: u64, text: &str) {
        self.show(step, text, REPEAT_INTERVAL);
    }

    fn show(&self, step: u64, text: &str, not_before: Duration) {
        if self.finished.load(Relaxed) {
            return;
        }
        if let Some(bar) = &self.bar {
            // The length of the bar is the number of finished steps.
            bar.set_position(step.saturating_sub(1));
            bar.set_message(text.to_owned());
        }
        if let Some(plain) = &self.plain {
            let mut last = plain.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|when| when.elapsed() >= not_before) {
                *last = Some(Instant::now());
                // If nobody reads stderr, the start continues.
                let line = stderr_line(&format!("[{step}/{STEPS}] {text}"));
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
        }
    }

    /// Ends the start: removes the bar, and ignores later steps.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Writes to stderr without breaking the bar.
    pub(crate) fn beside(&self, bytes: &[u8]) -> std::io::Result<()> {
        let write = || std::io::stderr().lock().write_all(bytes);
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.suspend(write),
            _ => write(),
        }
    }
}
