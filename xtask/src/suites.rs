//! Starts the suites, each of which is a program of its own.

use std::process::ExitStatus;

use anyhow::{Context, Result};
use programs::{Invocation, Workspace};

/// The name of a chore, its package and its program.
const SUITES: [(&str, &str, &str); 5] = [
    ("bench", "bench", "bench"),
    ("sam-conformance", "interop", "sam-routers"),
    ("conformance", "socks-conformance", "socks-conformance"),
    ("interop", "interop", "interop"),
    ("soak", "soak", "soak"),
];

/// Returns whether a chore is a suite.
pub(crate) fn has(name: &str) -> bool {
    SUITES.iter().any(|(suite, ..)| *suite == name)
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
    let suite = SUITES.iter().find(|(suite, ..)| *suite == name);
    let (_, package, program) = suite.with_context(|| format!("there is no suite {name}"))?;
    let line = format!("cargo run --quiet --locked -p {package} --bin {program} --target-dir");
    Ok(Invocation::typed(&line, workspace.root()).arg(workspace.target()).arg("--"))
}
