//! Command lines of a shell, in the namespace of the suite.

use std::process::{Command, Output, Stdio};

use anyhow::{Result, ensure};

/// Runs a command line that has to succeed. Returns what it prints.
pub fn run(line: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output()?;
    succeeded(line, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into())
}

/// Fails with what a command line has written to stderr, unless it has succeeded.
pub fn succeeded(line: &str, output: &Output) -> Result<()> {
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
