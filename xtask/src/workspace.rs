//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::invocation::Invocation;

/// The directories that the chores work in.
#[derive(Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    ///
    /// The target directory is taken from where the program itself lies (`<target>/<profile>/xtask`): that is
    /// right whatever the environment or a `.cargo/config.toml` say about it.
    pub(crate) fn of_this_program() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask has no directory above it")?.to_path_buf();
        let program = std::env::current_exe().context("this program does not know where it lies")?;
        let target = program.ancestors().nth(2).context("this program lies outside a target directory")?;
        Ok(Self { root, target: target.to_path_buf() })
    }

    /// The directory of the top `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Builds [`proxy`](Self::proxy) as `cargo test --workspace` builds it for its tests: any other command asks other features
    /// of the dependencies, and `ci` would build three hundred of them once more.
    pub(crate) fn build_proxy(&self) -> Result<()> {
        Invocation::typed("cargo test --workspace --test it --no-run --locked --target-dir", &self.root)
            .arg(&self.target)
            .run()
    }

    /// The debug build of `i2p-socks`, which [`build_proxy`](Self::build_proxy) makes.
    pub(crate) fn proxy(&self) -> PathBuf {
        self.target.join("debug").join("i2p-socks")
    }
}
