//! Starts the suites, each of which is a program of its own.

use std::process::ExitStatus;

use anyhow::Result;
use programs::{Invocation, Workspace};

/// The suites. A chore and its program have the same name.
const SUITES: [&str; 7] =
    ["attack", "bench", "interop", "own-i2pd", "sam-routers", "soak", "socks-conformance"];

/// Builds programs as `cargo test --workspace` builds what they share with tests. Any other command enables other features of the
/// dependencies, so that many of them would be built a second time.
const BUILD: &str = "cargo build --quiet --workspace --test it --locked --target-dir";

/// Returns whether a chore is a suite.
pub(crate) fn has(name: &str) -> bool {
    SUITES.contains(&name)
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
    // Lanes begin after the step `build`.
    if !pipeline::is_step_of_lane() {
        build(workspace, &[name])?;
    }
    Ok(Invocation::new(workspace.target().join("debug").join(name), workspace.root()))
}

/// Builds the programs of all suites.
pub(crate) fn build_all(workspace: &Workspace) -> Result<()> {
    build(workspace, &SUITES)
}

fn build(workspace: &Workspace, programs: &[&str]) -> Result<()> {
    let build = Invocation::typed(BUILD, workspace.root()).arg(workspace.target());
    programs.iter().fold(build, |build, program| build.arg("--bin").arg(program)).run()
}
