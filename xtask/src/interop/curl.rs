//! curl, as a person runs it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::wrapper::Wrapper;
use crate::programs;

/// Exit code for a proxy that refused (`CURLE_PROXY`).
pub(crate) const REFUSED_BY_PROXY: i32 = 97;
/// No check takes longer. i2pd itself gives up on a stream after about 60 s.
const LIMIT: &str = "100";

/// The program and the directory that it works in.
pub(crate) struct Curl {
    program: PathBuf,
    directory: PathBuf,
}

/// What a run came to.
pub(crate) struct Outcome {
    /// Exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// What it fetched.
    pub(crate) stdout: Vec<u8>,
    /// What it said about a failure.
    pub(crate) stderr: String,
}

impl Curl {
    /// curl, with files below `directory`.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let program = programs::find("curl").context("curl is missing")?;
        Ok(Self { program, directory: directory.into() })
    }

    /// Where files for it go.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs it.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(&self.program);
        command.env_clear();
        self.finish(command, arguments).await
    }

    /// Runs it below a program that sends what it does to the proxy.
    pub(crate) async fn run_below(&self, wrapper: &Wrapper, arguments: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(&wrapper.program);
        command.args(&wrapper.arguments).arg(&self.program);
        command.env_clear().envs(wrapper.variables.iter().map(|(name, value)| (name, value)));
        self.finish(command, arguments).await
    }

    /// No configuration file, no proxy from the environment, no progress, errors in English.
    async fn finish(&self, mut command: Command, arguments: &[&str]) -> Result<Outcome> {
        let output = command
            .args(["-q", "--silent", "--show-error", "--max-time", LIMIT])
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("could not start curl")?;
        Ok(Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
