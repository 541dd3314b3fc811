//! `cargo xtask ci`: its steps, and which of them run at the same time.

mod lanes;
mod report;
mod stop;

use std::time::Instant;

use anyhow::{Context, Result};
use programs::Workspace;

pub(crate) use self::stop::{is_built, stop_with_stdin};
use self::{
    lanes::Lane,
    report::{Outcome, Report},
};
use crate::{Chore, instructions, no_std, steps, suites};

/// All steps.
pub(crate) const STEPS: &[Chore] = &[
    Chore { name: "fmt", description: "check the formatting", run: steps::fmt },
    Chore {
        name: "clippy",
        description: "check the lints, with and without the embedded router",
        run: steps::clippy,
    },
    Chore { name: "doc", description: "build the documentation, also of private items", run: steps::doc },
    Chore {
        name: "no-std",
        description: "check that socks-wire links neither std nor alloc",
        run: no_std::run,
    },
    Chore {
        name: "build",
        description: "build all tests, and the programs that the tests and suites start",
        run: steps::build,
    },
    Chore { name: "test", description: "run all tests, also on the fuzz corpus", run: steps::test },
    Chore {
        name: "instructions",
        description: "check that socks-wire needs no more instructions than the committed counts",
        run: instructions::run,
    },
    Chore {
        name: "tools",
        description: "install the tools that the steps need below target/, in fixed versions",
        run: steps::tools,
    },
    Chore {
        name: "deny",
        description: "check the licences and sources of the dependencies",
        run: steps::deny,
    },
    Chore {
        name: "install",
        description: "run cargo install, with and without the embedded router",
        run: steps::install,
    },
    Chore {
        name: "sam-conformance",
        description: "test the SAM client with real i2pd routers",
        run: |workspace| suites::run("sam-conformance", workspace),
    },
    Chore {
        name: "conformance",
        description: "test our proxy and others byte by byte (--write: docs/conformance.md)",
        run: |workspace| suites::run("conformance", workspace),
    },
    Chore {
        name: "interop",
        description: "test our proxy with real i2pd routers and real clients",
        run: |workspace| suites::run("interop", workspace),
    },
    Chore {
        name: "bench",
        description: "measure the cost beside other proxies (ci: --short; --write: docs/performance.md; --link: time to first byte only)",
        run: suites::run_short_bench,
    },
];

/// The stages, which run one after the other. The lanes of a stage run at the same time; the steps of a lane do not.
///
/// Fast steps are first, so that the most frequent mistakes are found early.
const STAGES: [&[Lane]; 3] = [
    &[Lane { steps: &["fmt", "clippy", "doc", "no-std", "build"], nice: false }],
    // Tests and suites mostly wait for tunnels and time limits. Compilers use the processors meanwhile.
    &[
        Lane { steps: &["test", "sam-conformance", "conformance", "interop"], nice: false },
        Lane { steps: &["instructions", "tools", "deny", "install"], nice: true },
    ],
    // A benchmark needs the whole machine.
    &[Lane { steps: &["bench"], nice: false }],
];

/// Runs the stages until a step fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let start = Instant::now();
    // Found before the step `build` may replace the file.
    let xtask = std::env::current_exe().context("this program does not know where it lies")?;
    let report = Report::default();
    let outcome = STAGES.iter().try_for_each(|lanes| match lanes {
        [lane] => lane.steps.iter().try_for_each(|name| run_step(step(name), workspace, &report)),
        lanes => lanes::run_side_by_side(lanes, &xtask, &report),
    });
    print!("{}", report.summary(start.elapsed()));
    outcome
}

/// Runs a step that has the terminal for itself.
fn run_step(step: &Chore, workspace: &Workspace, report: &Report) -> Result<()> {
    println!("\n==> {}: {}", step.name, step.description);
    let start = Instant::now();
    let result = (step.run)(workspace);
    let outcome = if result.is_ok() { Outcome::Passed } else { Outcome::Failed };
    report.add(step.name, outcome, start.elapsed());
    result.with_context(|| failed(step.name))
}

fn failed(name: &str) -> String {
    format!("step {name} failed (alone: cargo xtask {name})")
}

#[allow(clippy::expect_used, reason = "a test looks up every name")]
fn step(name: &str) -> &'static Chore {
    STEPS.iter().find(|step| step.name == name).expect("a stage names a step")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_once_and_in_the_order_of_the_list() {
        let run: Vec<_> = STAGES.iter().flat_map(|lanes| lanes.iter().flat_map(|lane| lane.steps)).collect();
        let mut listed: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(run.len(), listed.len());
        listed.retain(|name| !run.contains(&name));
        assert!(listed.is_empty(), "in no stage: {listed:?}");
        run.iter().for_each(|name| assert_eq!(step(name).name, **name));
    }
}
