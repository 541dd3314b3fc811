//! A command of the page, run by a shell in a home directory of its own.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// A command in its directory, with what it starts.
pub(super) struct Running {
    child: Child,
    directory: PathBuf,
}

impl Running {
    /// Starts a command in `directory`, which is also its home. Programs in `programs` are preferred to those of the system. Gives
    /// it a terminal if it needs one.
    pub(super) fn start(command: &str, directory: &Path, programs: &Path, terminal: bool) -> Result<Self> {
        let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
        let mut path = OsString::from(programs);
        path.push(":/usr/bin:/bin");
        let (shell, arguments) =
            if terminal { ("script", ["-qec", command, "/dev/null"]) } else { ("sh", ["-c", command, "sh"]) };
        let child = Command::new(shell)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .envs([("LANG", "C.UTF-8"), ("TERM", if terminal { "vt100" } else { "dumb" })])
            // Where Debian puts the modules of Node, for a node that is not Debian's.
            .env("NODE_PATH", "/usr/share/nodejs")
            .env("HOME", directory)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(stdout)?)
            .stderr(fs::File::create(stderr)?)
            // So that it can be ended together with what it has started.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("could not start the shell")?;
        Ok(Self { child, directory: directory.into() })
    }

    /// Sends a request that is typed, for commands that connect and do nothing else. Most commands do not read it.
    pub(super) async fn type_request(&mut self, host: &str) -> Result<()> {
        let mut input = self.child.stdin.take().context("no stdin")?;
        let _ = input.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        Ok(())
    }

    /// Checks whether a text is in what the command has printed, or in a file that it has written.
    pub(super) fn shows(&self, text: &str) -> Result<bool> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.is_file() && String::from_utf8_lossy(&fs::read(&path)?).contains(text) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns how the command has ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| format!("it ended ({}): {}", describe(status), self.errors())))
    }

    /// What it has printed about failures.
    pub(super) fn errors(&self) -> String {
        fs::read_to_string(self.directory.join("stderr")).unwrap_or_default().trim().to_owned()
    }

    /// Ends the command and what it has started.
    pub(super) async fn end(&mut self) -> Result<()> {
        if let Some(group) = self.child.id() {
            Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status().await?;
        }
        self.child.wait().await?;
        Ok(())
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {signal:?}"),
    }
}
