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
            let mut attempt = 1;
            loop {
                let fetched = timeout(ATTEMPT_TIMEOUT, page(&program, &state, &url)).await;
                match fetched.unwrap_or_else(|_| Ok(Fetched::NotYet("no page in time".to_owned())))? {
                    Fetched::Page => return Ok(()),
                    Fetched::NotYet(why) if attempt == ATTEMPTS => bail!(why),
                    Fetched::NotYet(why) => {
                        println!("     contained curl: run again, since the path does not work yet ({why})");
                    }
                }
                attempt += 1;
            }
        }))
    }

    /// Waits for the page.
    pub(crate) async fn check(self, checklist: &mut Checklist) {
        checklist
            .check("exec: a program without proxy settings fetches the page", async { self.0.await? })
            .await;
    }
}

/// The outcome of one run of curl.
enum Fetched {
    Page,
    /// The path through I2P does not work.
    NotYet(String),
}

/// Exit codes of curl for connections that are refused, time out, say nothing or break off (curl(1)).
const PATH_CODES: [i32; 4] = [7, 28, 52, 56];

/// Runs curl once. All runs are one identity, so that a session that is being built is not given up.
async fn page(program: &Path, state: &Path, url: &str) -> Result<Fetched> {
    let mut exec = Command::new(program);
    exec.args(["exec", "--identity", "interop", "--state-dir"]).arg(state);
    exec.args(["--", "curl", "-sS", url]).stdin(Stdio::null()).kill_on_drop(true);
    let output = exec.output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(!errors.contains("no proxy is running"), "it opens sessions of its own");
    if output.status.code().is_some_and(|code| PATH_CODES.contains(&code)) {
        return Ok(Fetched::NotYet(errors.trim_end().to_owned()));
    }
    let page = String::from_utf8_lossy(&output.stdout);
    ensure!(page.contains(PAGE_TEXT), "{}: {page}{errors}", output.status);
    Ok(Fetched::Page)
}
