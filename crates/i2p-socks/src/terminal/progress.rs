use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::verbosity::Verbosity;

/// Steps of a start: a router, what it knows of the network, tunnels.
const STEPS: u64 = 3;
/// What the third step of a start is.
pub(crate) const BUILDING: &str = "building tunnels; on a router that has just started this takes minutes";
/// How often numbers that change are said again, where there is no bar to change.
#[cfg(feature = "embedded")]
const REPEAT: Duration = Duration::from_secs(5);

/// How far a slow start is: a bar on a terminal, plain lines elsewhere; nothing when told to be quiet. On stderr.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Where there is no bar: when something was said last.
    plain: Option<Arc<Mutex<Option<Instant>>>>,
    /// Nothing is said any more.
    finished: Arc<AtomicBool>,
}

impl Progress {
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let shown = verbosity > Verbosity::Quiet;
        let terminal = std::io::stderr().is_terminal();
        let bar = (shown && terminal).then(|| {
            let style = ProgressStyle::with_template("{spinner} [{bar:20}] {msg} ({elapsed})");
            let bar = ProgressBar::new(STEPS);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, plain: (shown && !terminal).then(Arc::default), finished: Arc::default() }
    }

    /// The start is at step number `step`, and this is what it does there.
    pub(crate) fn step(&self, step: u64, text: &str) {
        self.say(step, text, Duration::ZERO);
    }

    /// The same with numbers that change often.
    #[cfg(feature = "embedded")]
    pub(crate) fn update(&self, step: u64, text: &str) {
        self.say(step, text, REPEAT);
    }

    fn say(&self, step: u64, text: &str, not_before: Duration) {
        if self.finished.load(Relaxed) {
            return;
        }
        if let Some(bar) = &self.bar {
            // As long as the steps that are done.
            bar.set_position(step.saturating_sub(1));
            bar.set_message(text.to_owned());
        }
        if let Some(plain) = &self.plain {
            let mut last = plain.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|when| when.elapsed() >= not_before) {
                *last = Some(Instant::now());
                // Nobody may be there to read it, which is no reason to end.
                let _ = writeln!(std::io::stderr(), "[{step}/{STEPS}] {text}");
            }
        }
    }

    /// The start is over: the bar goes away, and no later step is said.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Writes to stderr without tearing the bar.
    pub(crate) fn beside(&self, bytes: &[u8]) -> std::io::Result<()> {
        let write = || std::io::stderr().lock().write_all(bytes);
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.suspend(write),
            _ => write(),
        }
    }
}
