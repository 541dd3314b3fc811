//! The directories of the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Invocation;

/// The workspace that this program was built from, and its target directory.
#[derive(Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds both from the path of this program, which is `<target>/<profile>/<program>`. That is right even if the environment or
    /// a `.cargo/config.toml` sets the target directory.
    pub fn of_this_program() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.ancestors().nth(2).context("no workspace above this crate")?.to_path_buf();
        let program = std::env::current_exe().context("this program does not know where it lies")?;
        let target = program.ancestors().nth(2).context("this program lies outside a target directory")?;
        Ok(Self { root, target: target.to_path_buf() })
    }

    /// The directory of the top `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Builds [`proxy`](Self::proxy) as `cargo test --workspace` builds it for its tests. Any other command enables other
    /// features of the dependencies, so that `ci` would build three hundred of them a second time.
    pub fn build_proxy(&self) -> Result<()> {
        Invocation::typed("cargo test --workspace --test it --no-run --locked --target-dir", &self.root)
            .arg(&self.target)
            .run()
    }

    /// The debug build of `i2p-socks`, made by [`build_proxy`](Self::build_proxy).
    #[must_use]
    pub fn proxy(&self) -> PathBuf {
        self.target.join("debug").join("i2p-socks")
    }
}
