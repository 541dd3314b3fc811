//! The closing table.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::Chore;

/// The width of a step's name in the table.
const NAME_WIDTH: usize = 17;

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// Stopped because another step failed.
    Stopped,
}

/// The outcome and duration of the steps that have run. Lanes share it.
#[derive(Default)]
pub(crate) struct Report(Mutex<Vec<(&'static str, Outcome, Duration)>>);

impl Report {
    pub(crate) fn add(&self, step: &'static str, outcome: Outcome, duration: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((step, outcome, duration));
    }

    /// A line for each of these steps. `wall` is the time that all of them have taken together.
    pub(crate) fn summary(&self, steps: impl Iterator<Item = &'static Chore>, wall: Duration) -> String {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("\n==> summary\n");
        for step in steps {
            let line = match ended.iter().find(|(name, ..)| *name == step.name) {
                Some((_, outcome, duration)) => {
                    let word = match outcome {
                        Outcome::Passed => "ok",
                        Outcome::Failed => "FAILED",
                        Outcome::Stopped => "stopped",
                    };
                    format!("{:NAME_WIDTH$} {word:7} {:7.1} s\n", step.name, duration.as_secs_f64())
                }
                None => format!("{:NAME_WIDTH$} not run\n", step.name),
            };
            text += &line;
        }
        let sum: Duration = ended.iter().map(|(.., duration)| *duration).sum();
        text + &format!(
            "{:NAME_WIDTH$} {:7} {:7.1} s, of which steps side by side saved {:.1} s\n",
            "all",
            "",
            wall.as_secs_f64(),
            sum.saturating_sub(wall).as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_shows_failed_steps_and_those_that_did_not_run() {
        static STEPS: [Chore; 4] =
            [Chore::named("fmt"), Chore::named("clippy"), Chore::named("doc"), Chore::named("no-std")];
        let (report, second) = (Report::default(), Duration::from_secs(1));
        report.add("clippy", Outcome::Failed, second);
        report.add("fmt", Outcome::Passed, second);
        report.add("doc", Outcome::Stopped, second);
        assert_eq!(
            report.summary(STEPS.iter(), second),
            "\n==> summary\n\
             fmt               ok          1.0 s\n\
             clippy            FAILED      1.0 s\n\
             doc               stopped     1.0 s\n\
             no-std            not run\n\
             all                           1.0 s, of which steps side by side saved 2.0 s\n"
        );
    }
}
