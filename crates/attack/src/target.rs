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
    /// Builds the program.
    pub(crate) fn built_from(workspace: &Workspace, build: Build) -> Result<Self> {
        let program = match build {
            Build::Debug => {
                let program = workspace.proxy();
                if !program.exists() {
                    workspace.build_proxy()?;
                }
                program
            }
            Build::Release => {
                // As the step `install` of `cargo xtask ci` does, so that nothing is compiled twice.
                let root = workspace.target().join("xtask-installed");
                let install = "cargo install --quiet --path crates/i2p-socks --locked --force --target-dir";
                let install = Invocation::typed(install, workspace.root()).arg(workspace.target());
                install.arg("--root").arg(&root).run()?;
                root.join("bin").join("i2p-socks")
            }
        };
        println!("attacked: {}\n", program.display());
        Ok(Self { program })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}
