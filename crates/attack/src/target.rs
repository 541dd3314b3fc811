//! The program that is attacked.

use std::path::{Path, PathBuf};

use anyhow::Result;
use programs::{Invocation, Workspace};

/// How the program was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As the tests have it.
    Debug,
    /// As users have it.
    Release,
}

/// The program that is attacked.
pub(crate) struct Target {
    program: PathBuf,
}

impl Target {
    /// The program, which has been [built](Self::build).
    pub(crate) fn of(workspace: &Workspace, build: Build) -> Self {
        let program = match build {
            Build::Debug => workspace.proxy(),
            Build::Release => installed_under(workspace).join("bin").join("i2p-socks"),
        };
        println!("attacked: {}\n", program.display());
        Self { program }
    }

    /// Builds the program.
    pub(crate) fn build(workspace: &Workspace, build: Build) -> Result<()> {
        match build {
            Build::Debug if workspace.proxy().exists() => Ok(()),
            Build::Debug => workspace.build_proxy(),
            Build::Release => {
                // As the step `install` of `cargo xtask ci` does, so that nothing is compiled twice.
                let install = "cargo install --quiet --path crates/i2p-socks --locked --force --target-dir";
                let install = Invocation::typed(install, workspace.root()).arg(workspace.target());
                install.arg("--root").arg(installed_under(workspace)).run()
            }
        }
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

fn installed_under(workspace: &Workspace) -> PathBuf {
    workspace.target().join("xtask-installed")
}
