//! Runs curl as a person does.

use std::{
    error, fmt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result};
use tokio::process::Command;

/// The exit code of curl when the proxy has refused (`CURLE_PROXY`).
pub const PROXY_REFUSED: i32 = 97;
/// The exit codes of curl when nothing came in time (`CURLE_OPERATION_TIMEDOUT`), when the connection ended without a response
/// (`CURLE_GOT_NOTHING`), and when it ended in the middle or HTTP CONNECT was refused (`CURLE_RECV_ERROR`).
const TIMED_OUT: i32 = 28;
const EMPTY_REPLY: i32 = 52;
const RECEIVE_ERROR: i32 = 56;
/// The replies of the proxy for a destination that the router does not find or that does not answer: in SOCKS5 (RFC 1928
/// section 6), host unreachable and TTL expired, and the statuses of HTTP CONNECT for the same.
const UNREACHABLE_REPLIES: [&str; 2] = ["(4)", "(6)"];
const UNREACHABLE_STATUSES: [&str; 2] =
    ["CONNECT tunnel failed, response 502", "CONNECT tunnel failed, response 504"];
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

/// A program that runs another one: behind a SOCKS proxy, by redirecting its connections and lookups, or as another user.
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
    pub fn succeeded(self) -> Result<Vec<u8>, CurlError> {
        let Self { code, stdout, stderr } = self;
        if code == 0 { Ok(stdout) } else { Err(CurlError { code, stderr }) }
    }
}

/// A run of curl that has failed.
#[derive(Debug)]
pub struct CurlError {
    code: i32,
    stderr: String,
}

impl CurlError {
    /// Whether the destination was not reached, or its response did not come. That happens to the first requests over a path
    /// through I2P that is new: the router may not have found the lease set, and a tunnel may have died. Any other failure is that
    /// of a program.
    #[must_use]
    pub fn is_of_path(&self) -> bool {
        match self.code {
            TIMED_OUT | EMPTY_REPLY => true,
            PROXY_REFUSED => {
                self.stderr.contains("complete SOCKS5 connection")
                    && UNREACHABLE_REPLIES.iter().any(|reply| self.stderr.ends_with(reply))
            }
            RECEIVE_ERROR => UNREACHABLE_STATUSES.iter().any(|status| self.stderr.ends_with(status)),
            _ => false,
        }
    }
}

impl fmt::Display for CurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "curl exited with {}: {}", self.code, self.stderr)
    }
}

impl error::Error for CurlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_path_can_cause_is_a_failure_of_the_path() {
        for (code, stderr, expected) in [
            (28, "curl: (28) Connection timed out after 100000 milliseconds", true),
            (52, "curl: (52) Empty reply from server", true),
            (97, "curl: (97) Can't complete SOCKS5 connection to site-1.i2p. (4)", true),
            (97, "curl: (97) Can't complete SOCKS5 connection to site-1.i2p. (6)", true),
            (97, "curl: (97) Can't complete SOCKS5 connection to site-1.i2p. (1)", false),
            (97, "curl: (97) Can't complete SOCKS5 connection to site-4.i2p. (2)", false),
            (56, "curl: (56) CONNECT tunnel failed, response 502", true),
            (56, "curl: (56) CONNECT tunnel failed, response 503", false),
            (56, "curl: (56) Recv failure: Connection reset by peer", false),
            (7, "curl: (7) Failed to connect to 127.0.0.1 port 4450", false),
            (18, "curl: (18) transfer closed with 5 bytes remaining to read", false),
            (22, "curl: (22) The requested URL returned error: 404", false),
        ] {
            let error = CurlError { code, stderr: stderr.into() };
            assert_eq!(error.is_of_path(), expected, "{error}");
        }
    }
}
