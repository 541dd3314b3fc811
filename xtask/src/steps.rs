//! The steps of `cargo xtask ci` that run one or two programs.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use programs::{Invocation, Workspace};

use crate::{cargo_deny, suites, without_router::WithoutRouter};

fn cargo(workspace: &Workspace, arguments: &str) -> Invocation {
    Invocation::typed(&format!("cargo {arguments}"), workspace.root())
}

/// `cargo fmt`.
pub(crate) fn fmt(workspace: &Workspace) -> Result<()> {
    cargo(workspace, "fmt --all --check").run()
}

/// The features of `socks-wire`, which others may ask for in any combination.
const SOCKS_WIRE_FEATURES: [&str; 3] = ["alloc", "bytes", "tokio"];

/// `cargo clippy`, also where features take code away: the binary without the embedded router, and `socks-wire` with
/// each combination of its features.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    let clippy =
        |what: &str| cargo(workspace, &format!("clippy {what} --all-targets --locked -- -D warnings")).run();
    clippy("--workspace")?;
    // All packages, so that their dependencies have the features that were just built.
    clippy("--workspace --no-default-features")?;
    for combination in 0..1_usize << SOCKS_WIRE_FEATURES.len() {
        let chosen = SOCKS_WIRE_FEATURES.iter().enumerate().filter(|(bit, _)| combination & (1 << bit) != 0);
        let features: String = chosen.map(|(_, feature)| format!(" --features {feature}")).collect();
        clippy(&format!("-p socks-wire{features}"))?;
    }
    Ok(())
}

/// `cargo doc`. Private items too: their links rot as well. With the examples, because cargo then enables the features of
/// dependencies that tests enable, and finds these dependencies checked by the step `clippy`.
pub(crate) fn doc(workspace: &Workspace) -> Result<()> {
    cargo(workspace, "doc --workspace --lib --bins --examples --no-deps --document-private-items --locked")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Builds all that is tested. The workspace comes last, so that its programs are in their places.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    WithoutRouter::of(workspace).build(workspace)?;
    cargo(workspace, "test --workspace --locked --no-run").run()?;
    suites::build_all(workspace)
}

/// Builds, unless the step `build` has done so: in lanes, the steps that need it come after it.
fn build_unless_built(workspace: &Workspace) -> Result<()> {
    if pipeline::is_step_of_lane() { Ok(()) } else { build(workspace) }
}

/// Runs all tests of the workspace, and those that differ without the embedded router.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    build_unless_built(workspace)?;
    cargo(workspace, "test --workspace --locked").run()?;
    WithoutRouter::of(workspace).test()
}

/// `cargo deny`. Advisories are left out: they change from day to day without a change of ours, and need more
/// internet than a package registry. They belong to the release checklist.
pub(crate) fn deny(workspace: &Workspace) -> Result<()> {
    let program = cargo_deny::installed(workspace)?;
    ["check", "-D", "warnings", "bans", "licenses", "sources"]
        .into_iter()
        .fold(Invocation::new(program, workspace.root()).arg("--locked"), Invocation::arg)
        .run()
}

/// Runs `cargo install`, with and without the embedded router, and starts each program from a directory outside the workspace.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    install_one(workspace, "", &with_router(workspace))?;
    // The second shares dependencies with the first.
    install_one(workspace, "--no-default-features", &without_router(workspace))
}

/// Where `cargo install` puts the program, with and without the embedded router.
fn with_router(workspace: &Workspace) -> PathBuf {
    workspace.target().join("xtask-installed")
}

fn without_router(workspace: &Workspace) -> PathBuf {
    workspace.target().join("xtask-installed-without-router")
}

/// The file below the directory that `cargo install` was given.
fn program_below(root: &Path) -> PathBuf {
    root.join("bin").join("i2p-socks")
}

fn install_one(workspace: &Workspace, features: &str, root: &Path) -> Result<()> {
    cargo(workspace, &format!("install --path crates/i2p-socks --locked --force {features} --root"))
        .arg(root)
        .arg("--target-dir")
        .arg(workspace.target())
        .run()?;
    let version = Invocation::new(program_below(root), Path::new("/")).arg("--version").output()?;
    ensure!(version.starts_with("i2p-socks "), "i2p-socks --version wrote {version:?}");
    print!("installed and started from /: {version}");
    Ok(())
}

/// The tests of the installed program with the embedded router, as the step `build` has built them.
const INSTALLED: &str = "test --workspace --locked --test it -- life:: usage:: demo::";

/// Puts the installed programs, which were built in another profile than that of other tests, through the tests of their life, their
/// usage and, where there is one, their demo.
pub(crate) fn installed(workspace: &Workspace) -> Result<()> {
    if !pipeline::is_step_of_lane() {
        build(workspace)?;
        install(workspace)?;
    }
    let program = program_below(&with_router(workspace));
    cargo(workspace, INSTALLED).env("I2P_SOCKS_TEST_BINARY", &program.to_string_lossy()).run()?;
    WithoutRouter::of(workspace).test_installed(&program_below(&without_router(workspace)))
}
