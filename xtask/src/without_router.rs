//! The program without the embedded router, and its tests.
//!
//! Cargo puts the program into the same place with and without the embedded router, and their tests start it from there. So what is
//! built without it is copied: then both can be tested at the same time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use programs::{Invocation, Workspace};
use serde_json::Value;

/// The tests of all packages, so that the dependencies have the features that the step `build` needs next.
const BUILD: &str = "cargo test --workspace --no-default-features --bin i2p-socks --test it --no-run --locked --message-format \
                     json-render-diagnostics --target-dir";

/// The tests for what differs without the embedded router: its configuration, its words, its start and end.
const MODULES: [&str; 3] = ["check::", "life::", "usage::"];

/// The tests of the installed program.
const INSTALLED_MODULES: [&str; 2] = ["life::", "usage::"];

/// What is built without the embedded router.
pub(crate) struct WithoutRouter {
    /// The program, the tests in its sources, and the tests that run it.
    program: PathBuf,
    unit_tests: PathBuf,
    tests: PathBuf,
    directory: PathBuf,
}

impl WithoutRouter {
    /// Where it is once it is built.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let place = workspace.target().join("xtask-without-router");
        Self {
            program: place.join("i2p-socks"),
            unit_tests: place.join("unit-tests"),
            tests: place.join("it"),
            directory: workspace.root().join("crates/i2p-socks"),
        }
    }

    /// Builds it. What cargo builds next puts the program with the embedded router back into its place.
    pub(crate) fn build(&self, workspace: &Workspace) -> Result<()> {
        let build = Invocation::typed(BUILD, workspace.root()).arg(workspace.target());
        println!("$ {build}");
        let messages = build.output()?;
        for (name, is_test, copy) in [
            ("i2p-socks", false, &self.program),
            ("i2p-socks", true, &self.unit_tests),
            ("it", true, &self.tests),
        ] {
            let built = messages.lines().find_map(|line| executable(line, name, is_test));
            put(&built.with_context(|| format!("cargo has built no {name}"))?, copy)?;
        }
        Ok(())
    }

    /// Runs its tests.
    pub(crate) fn test(&self) -> Result<()> {
        Invocation::new(&self.unit_tests, &self.directory).run()?;
        self.test_program(&self.program, &MODULES)
    }

    /// Runs the tests of an installed program.
    pub(crate) fn test_installed(&self, program: &Path) -> Result<()> {
        self.test_program(program, &INSTALLED_MODULES)
    }

    fn test_program(&self, program: &Path, modules: &[&str]) -> Result<()> {
        let tests = Invocation::new(&self.tests, &self.directory);
        let tests = tests.env("I2P_SOCKS_TEST_BINARY", &program.to_string_lossy());
        modules.iter().fold(tests, Invocation::arg).run()
    }
}

/// The path of an executable, if a message of cargo is about this one of the package `i2p-socks`.
fn executable(message: &str, name: &str, is_test: bool) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.get("manifest_path")?.as_str()?.ends_with("/i2p-socks/Cargo.toml")
        && message.pointer("/target/name")? == name
        && message.pointer("/profile/test")? == is_test;
    is_it.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
}

/// Copies a program to its place, where an older one may run.
fn put(program: &Path, place: &Path) -> Result<()> {
    let directory = place.parent().context("a file is in a directory")?;
    fs::create_dir_all(directory)?;
    let new = place.with_extension("new");
    fs::copy(program, &new)
        .and_then(|_| fs::rename(&new, place))
        .with_context(|| format!("no {}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_by_package_name_and_kind() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/i2p-socks/Cargo.toml","target":{"name":"it"},
                       "profile":{"test":true},"executable":"/target/it-1"}"#;
        assert_eq!(executable(line, "it", true), Some("/target/it-1".into()));
        assert_eq!(executable(line, "it", false), None);
        assert_eq!(executable(line, "i2p-socks", true), None);
        assert_eq!(executable(&line.replace("crates/i2p-socks/", "crates/i2p-sam/"), "it", true), None);
        assert_eq!(executable(&line.replace("\"/target/it-1\"", "null"), "it", true), None);
        assert_eq!(executable("Compiling it", "it", true), None);
    }
}
