//! Starts the suites, each of which is a program of its own.

use std::{env, process::ExitStatus};

use anyhow::{Context, Result, ensure};
use programs::{Invocation, Workspace};

/// The suites. A chore and its program have the same name.
const SUITES: [&str; 12] = [
    "attack",
    "bench",
    "contained",
    "filtered",
    "gateway",
    "http-conformance",
    "interop",
    "own-i2pd",
    "recording",
    "sam-routers",
    "soak",
    "socks-conformance",
];

/// Builds programs as `cargo test --workspace` builds what they share with tests. Any other command enables other features of the
/// dependencies, so that many of them would be built a second time.
const BUILD: &str = "cargo build --quiet --workspace --test it --locked --target-dir";

/// The option of every suite for the Debian release, such as `sid`, whose i2pd it runs instead of the installed one.
const I2PD: &str = "--i2pd";

/// Returns whether a chore is a suite.
pub(crate) fn has(name: &str) -> bool {
    SUITES.contains(&name)
}

/// Runs a suite without arguments. Fails unless it succeeds.
pub(crate) fn run(name: &str, workspace: &Workspace) -> Result<()> {
    invocation(name, workspace)?.run()
}

/// The same with the i2pd of another Debian release.
pub(crate) fn run_with_i2pd(name: &str, release: &str, workspace: &Workspace) -> Result<()> {
    with_i2pd(invocation(name, workspace)?, release, workspace)?.run()
}

/// Runs the short form of the benchmark. Fails unless it succeeds.
pub(crate) fn run_short_bench(workspace: &Workspace) -> Result<()> {
    invocation("bench", workspace)?.arg("--short").run()
}

/// Runs a suite with these arguments.
pub(crate) fn status(name: &str, arguments: &[String], workspace: &Workspace) -> Result<ExitStatus> {
    let (release, arguments) = i2pd_release(arguments)?;
    let suite = arguments.into_iter().fold(invocation(name, workspace)?, Invocation::arg);
    match release {
        Some(release) => with_i2pd(suite, release, workspace)?.status(),
        None => suite.status(),
    }
}

/// Takes the option [`I2PD`] with its value out of the arguments.
fn i2pd_release(arguments: &[String]) -> Result<(Option<&str>, Vec<&str>)> {
    let mut others: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(option) = others.iter().position(|argument| *argument == I2PD) else {
        return Ok((None, others));
    };
    others.remove(option);
    let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let release = others.get(option).copied().filter(is_name);
    let release =
        release.with_context(|| format!("{I2PD} takes the name of a Debian release, such as sid"))?;
    others.remove(option);
    ensure!(!others.contains(&I2PD), "{I2PD} is given twice");
    Ok((Some(release), others))
}

/// Puts the i2pd of a Debian release first into the suite's `PATH`, where suites and the proxy look for i2pd.
fn with_i2pd(suite: Invocation, release: &str, workspace: &Workspace) -> Result<Invocation> {
    let directory = programs::unpacked(("i2pd", "i2pd"), release, workspace)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(directory).chain(env::split_paths(&path)))?;
    Ok(suite.env("PATH", path.to_str().context("PATH is not UTF-8")?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_taken_out_of_the_arguments() {
        let release = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            i2pd_release(&words).map(|(release, others)| format!("{release:?} {}", others.join(" "))).ok()
        };
        assert_eq!(release("--short").as_deref(), Some("None --short"));
        assert_eq!(release("--i2pd sid").as_deref(), Some("Some(\"sid\") "));
        assert_eq!(release("--short --i2pd sid x").as_deref(), Some("Some(\"sid\") --short x"));
        for wrong in ["--i2pd", "--i2pd --short", "--i2pd ../sid", "--i2pd sid --i2pd sid"] {
            assert_eq!(release(wrong), None, "{wrong}");
        }
    }
}
