//! The progress of a slow start.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{on_stderr, stderr_line, write_stderr};
use crate::config::{log::LogFormat, verbosity::Verbosity};

/// How many steps a start has: find a router, learn about the network, build tunnels.
const STEPS: u64 = 3;
/// The text of the third step.
pub(crate) const BUILDING_TUNNELS: &str =
    "building I2P tunnels; on a router that has just started, this takes minutes";
/// How often a bar is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(120);
/// How often changing numbers are printed, if there is no bar.
#[cfg(feature = "embedded")]
const REPEAT_INTERVAL: Duration = Duration::from_secs(5);

/// Shows the progress of a slow start on stderr: a bar on a terminal, lines otherwise or if the log is JSON, nothing with `--quiet`.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// The bar is drawn. It is not for a command without a step, whose output it would stand in.
    begun: Arc<Once>,
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
            bar
        });
        let plain = (shown && !terminal).then(Arc::default);
        Self { bar, begun: Arc::new(Once::new()), plain, finished: Arc::default() }
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
        if let Some(bar) = self.bar.clone() {
            let (text, begun) = (text.to_owned(), Arc::clone(&self.begun));
            on_stderr(text.len(), move || {
                begun.call_once(|| bar.enable_steady_tick(DRAW_INTERVAL));
                // The length of the bar is the number of finished steps.
                bar.set_position(step.saturating_sub(1));
                bar.set_message(text);
            });
        }
        if let Some(plain) = &self.plain {
            let mut last = plain.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|when| when.elapsed() >= not_before) {
                *last = Some(Instant::now());
                write_stderr(stderr_line(&format!("[{step}/{STEPS}] {text}")).into_bytes());
            }
        }
    }

    /// Says something before the first step.
    pub(crate) fn remark(&self, text: &str) {
        if self.bar.is_some() || self.plain.is_some() {
            self.beside(stderr_line(text).into_bytes());
        }
    }

    /// Ends the start: removes the bar, and ignores later steps.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Relaxed);
        if let Some(bar) = self.bar.clone() {
            on_stderr(0, move || bar.finish_and_clear());
        }
    }

    /// Writes to stderr without breaking the bar. Does not wait.
    pub(super) fn beside(&self, bytes: Vec<u8>) {
        let Some(bar) = self.bar.clone() else { return write_stderr(bytes) };
        let begun = Arc::clone(&self.begun);
        on_stderr(bytes.len(), move || {
            let write = || std::io::stderr().write_all(&bytes);
            // If nobody reads stderr any more, the proxy continues without a log.
            let _ = if bar.is_finished() || !begun.is_completed() { write() } else { bar.suspend(write) };
        });
    }
}
