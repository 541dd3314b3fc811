//! Starts the suites, each of which is a program of its own.

use std::process::ExitStatus;

use anyhow::{Context, Result};
use programs::{Invocation, Workspace};

/// The name of a chore, and its program.
const SUITES: [(&str, &str); 5] = [
    ("bench", "bench"),
    ("sam-conformance", "sam-routers"),
    ("conformance", "socks-conformance"),
    ("interop", "interop"),
    ("soak", "soak"),
];

/// Builds programs as `cargo test --workspace` builds what they share with tests. Any other command enables other features of the
/// dependencies, so that many of them would be built a second time.
const BUILD: &str = "cargo build --quiet --workspace --test it --locked --target-dir";

/// Returns whether a chore is a suite.
pub(crate) fn has(name: &str) -> bool {
    SUITES.iter().any(|(suite, _)| *suite == name)
}

/// Runs a suite without arguments. Fails unless it succeeds.
pub(crate) fn run(name: &str, workspace: &Workspace) -> Result<()> {
    invocation(name, workspace)?.run()
}

/// Runs the short form of the benchmark. Fails unless it succeeds.
pub(crate) fn run_short_bench(workspace: &Workspace) -> Result<()> {
    invocation("bench", workspace)?.arg("--short").run()
}

/// Runs a suite with these arguments.
pub(crate) fn status(name: &str, arguments: &[String], workspace: &Workspace) -> Result<ExitStatus> {
    arguments.iter().fold(invocation(name, workspace)?, Invocation::arg).status()
}

fn invocation(name: &str, workspace: &Workspace) -> Result<Invocation> {
    let suite = SUITES.iter().find(|(suite, _)| *suite == name);
    let (_, program) = suite.with_context(|| format!("there is no suite {name}"))?;
    // Lanes begin after the step `build`.
    if !pipeline::is_step_of_lane() {
        build(workspace, &[program])?;
    }
    Ok(Invocation::new(workspace.target().join("debug").join(program), workspace.root()))
}

/// Builds the programs of all suites.
pub(crate) fn build_all(workspace: &Workspace) -> Result<()> {
    build(workspace, &SUITES.map(|(_, program)| program))
}

fn build(workspace: &Workspace, programs: &[&str]) -> Result<()> {
    let build = Invocation::typed(BUILD, workspace.root()).arg(workspace.target());
    programs.iter().fold(build, |build, program| build.arg("--bin").arg(program)).run()
}
