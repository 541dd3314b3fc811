//! Runs the steps of a pipeline, such as `cargo xtask ci`, until one fails. A closing table shows how long each step took.
//!
//! A pipeline has stages, which run one after the other. A stage has lanes, which run at the same time. A lane has steps, which
//! run one after the other. A stage of one lane runs in this process and writes to the terminal. Steps of several lanes are
//! processes of their own: this program, started with the name of the step as its only argument.

#![forbid(unsafe_code)]

mod report;
mod side_by_side;
mod stop;

use std::time::Instant;

use anyhow::{Context, Result};
use programs::Workspace;

use self::report::{Outcome, Report};
pub use self::stop::{is_step_of_lane, stop_with_stdin};

/// Something that this program does when it is started with its name. A step of a pipeline is one, too.
#[derive(Clone, Copy)]
pub struct Chore {
    /// The name.
    pub name: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    /// Does it.
    pub run: fn(&Workspace) -> Result<()>,
}

#[cfg(test)]
impl Chore {
    const fn named(name: &'static str) -> Self {
        Self { name, description: "", run: |_| Ok(()) }
    }
}

/// Steps that run one after the other.
pub struct Lane {
    /// The steps.
    pub steps: &'static [Chore],
    /// Whether the other lanes come first when all want the processors.
    pub nice: bool,
    /// The step of this lane that begins only after a step of another lane has passed, and that other step.
    pub waits: Option<Wait>,
}

/// A step that needs the outcome of a step of another lane. The other step must not wait for this one.
#[derive(Clone, Copy)]
pub struct Wait {
    /// The name of the step that waits.
    pub step: &'static str,
    /// The name of the step that it waits for.
    pub after: &'static str,
}

/// Stages, which run one after the other.
pub struct Pipeline {
    /// The lanes of each stage, which run at the same time.
    pub stages: &'static [&'static [Lane]],
}

impl Pipeline {
    /// All steps, in the order in which they are listed.
    pub fn steps(&self) -> impl Iterator<Item = &'static Chore> + use<> {
        self.stages.iter().flat_map(|lanes| lanes.iter()).flat_map(|lane| lane.steps)
    }

    /// Runs the steps until one fails, and prints the table.
    ///
    /// # Errors
    /// The first failure.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        let start = Instant::now();
        // Found before a step may replace the file.
        let program = std::env::current_exe().context("this program does not know where it lies")?;
        let report = Report::default();
        let outcome = self.stages.iter().try_for_each(|lanes| match lanes {
            [lane] => lane.steps.iter().try_for_each(|step| run_step(step, workspace, &report)),
            lanes => side_by_side::run(lanes, &program, &report),
        });
        print!("{}", report.summary(self.steps(), start.elapsed()));
        outcome
    }
}

/// Runs a step that has the terminal for itself.
fn run_step(step: &Chore, workspace: &Workspace, report: &Report) -> Result<()> {
    println!("\n==> {}: {}", step.name, step.description);
    let start = Instant::now();
    let result = (step.run)(workspace);
    let outcome = if result.is_ok() { Outcome::Passed } else { Outcome::Failed };
    report.add(step.name, outcome, start.elapsed());
    result.with_context(|| failure(step.name))
}

/// The error of a pipeline whose step has failed.
fn failure(step: &str) -> String {
    format!("step {step} failed; to run it alone: cargo xtask {step}")
}
