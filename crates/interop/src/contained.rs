//! A program under `exec`, through the running proxy and real routers.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use lab::{
    proxy::Proxy,
    site::{PAGE_TEXT, Site},
};
use tokio::{process::Command, task::JoinHandle, time::timeout};

use crate::checklist::Checklist;

/// How often it is tried: a stream over a tunnel that has just died may hang.
const ATTEMPTS: usize = 3;
/// How long one attempt may take. The run is a client of its own, whose session takes i2pd 20 s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// A fetch that has begun, and goes on beside other checks.
pub(crate) struct Fetch(JoinHandle<Result<()>>);

impl Fetch {
    /// Has curl, which is contained and knows of no proxy, fetch the page of the site.
    pub(crate) fn start(program: PathBuf, proxy: &Proxy, site: &Site) -> Self {
        let (state, url) = (proxy.state_dir().to_owned(), format!("http://{}/", site.host));
        Self(tokio::spawn(async move {
            let mut failures = String::new();
            for _ in 0..ATTEMPTS {
                match timeout(ATTEMPT_TIMEOUT, page(&program, &state, &url)).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(error)) => failures += &format!("{error:#}; "),
                    Err(_) => failures += "no page in time; ",
                }
            }
            bail!(failures)
        }))
    }

    /// Waits for the page.
    pub(crate) async fn check(self, checklist: &mut Checklist) {
        checklist
            .check("exec: a program without proxy settings fetches the page", async { self.0.await? })
            .await;
    }
}

/// Runs curl once. All runs are one identity, so that a session that is being built is not given up.
async fn page(program: &Path, state: &Path, url: &str) -> Result<()> {
    let mut exec = Command::new(program);
    exec.args(["exec", "--identity", "interop", "--state-dir"]).arg(state);
    exec.args(["--", "curl", "-sS", url]).stdin(Stdio::null()).kill_on_drop(true);
    let output = exec.output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(!errors.contains("no proxy is running"), "it opens sessions of its own");
    let page = String::from_utf8_lossy(&output.stdout);
    ensure!(page.contains(PAGE_TEXT), "{}: {page}{errors}", output.status);
    Ok(())
}
