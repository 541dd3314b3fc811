//! A process that holds new namespaces.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Starts a shell in new namespaces with these options of unshare(1), which runs a line there. Returns once it has succeeded. The shell
/// ends when its stdin is closed.
pub(super) fn start(options: &[&str], line: &str) -> Result<Child> {
    let unshare = programs::find("unshare").context("unshare is missing")?;
    let script = format!("{line} && echo ready && exec cat");
    let mut holder = Command::new(unshare)
        .args(options)
        .args(["sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start unshare")?;
    let mut said = String::new();
    if let Some(stdout) = holder.stdout.as_mut() {
        BufReader::new(stdout).read_line(&mut said)?;
    }
    if said != "ready\n" {
        let status = holder.kill().and_then(|()| holder.wait());
        bail!("no namespaces can be made with {} ({status:?})", options.join(" "));
    }
    Ok(holder)
}
