//! Runs curl as a person does.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The exit code of curl when the proxy has refused (`CURLE_PROXY`).
pub const PROXY_REFUSED: i32 = 97;
/// Longer than any check takes. i2pd itself gives up on a stream after about 60 s.
const MAX_SECONDS: &str = "100";

/// The program and its working directory.
pub struct Curl {
    program: PathBuf,
    directory: PathBuf,
}

/// The result of a run.
pub struct Finished {
    /// The exit code, or -1 if a signal has ended curl.
    pub code: i32,
    /// What curl has fetched.
    pub stdout: Vec<u8>,
    /// What curl has printed about a failure.
    pub stderr: String,
}

/// A program that puts another one behind a SOCKS proxy: it redirects the connections and lookups of that program.
pub struct Wrapper {
    /// Where it is.
    pub program: PathBuf,
    /// Its arguments before the other program.
    pub arguments: Vec<String>,
    /// The environment that it needs.
    pub variables: Vec<(&'static str, String)>,
}

impl Curl {
    /// Finds curl. Its files are in `directory`.
    pub fn new(directory: &Path) -> Result<Self> {
        let program = programs::find("curl").context("curl is missing")?;
        Ok(Self { program, directory: directory.into() })
    }

    /// Its working directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs curl.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(&self.program);
        command.env_clear();
        self.finish(command, arguments).await
    }

    /// Runs curl behind a wrapper.
    pub async fn run_wrapped(&self, wrapper: &Wrapper, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(&wrapper.program);
        command.args(&wrapper.arguments).arg(&self.program);
        command.env_clear().envs(wrapper.variables.iter().map(|(name, value)| (name, value)));
        self.finish(command, arguments).await
    }

    /// Without a configuration file, a proxy from the environment and a progress bar; with errors in English.
    async fn finish(&self, mut command: Command, arguments: &[&str]) -> Result<Finished> {
        let output = command
            .args(["-q", "--silent", "--show-error", "--max-time", MAX_SECONDS])
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("could not start curl")?;
        Ok(Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

impl Finished {
    /// Fails unless curl has succeeded. Returns what it has fetched.
    pub fn succeeded(self) -> Result<Vec<u8>> {
        ensure!(self.code == 0, "curl exited with {}: {}", self.code, self.stderr);
        Ok(self.stdout)
    }
}
