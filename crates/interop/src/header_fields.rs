//! What a site gets from real programs through plain HTTP, byte for byte: nothing tells one program from another, but for what
//! `docs/http.md` lets pass.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{proxy::ADDRESS, site::Site};
use tokio::{process::Command, time::timeout};

use crate::{browser::Browser, checklist::Checklist, far_end::FarEnd};

/// How long a program may take.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(60);
/// A page that the site hands to its further services, which record the request.
const PATH: &str = "/header-fields";
/// What a browser accepts, for all browsers the same.
const OF_BROWSERS: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
                           Accept-Encoding: gzip, deflate\r\n";

pub(crate) async fn check(checklist: &mut Checklist, lab: &Path, far_end: &FarEnd, site: &Site) {
    let url = format!("http://{}{PATH}", site.host);
    let curl = async { run("curl", &["-sS", "-o", "/dev/null", &url]).await };
    let expected = "Accept: */*\r\n";
    checklist.check("what a site gets from curl, byte for byte", expect(far_end, site, expected, curl)).await;
    let wget = async { run("wget", &["-q", "-O", "/dev/null", &url]).await };
    let expected = "Accept: */*\r\nAccept-Encoding: identity\r\n";
    checklist.check("what a site gets from wget, byte for byte", expect(far_end, site, expected, wget)).await;
    let chromium = async {
        let proxy = format!("--proxy-server=http://{ADDRESS}");
        Browser::new(lab)?.run(&["--dump-dom", &proxy], &url).await.map(drop)
    };
    checklist
        .check("what a site gets from Chromium, byte for byte", expect(far_end, site, OF_BROWSERS, chromium))
        .await;
}

/// Runs a program that takes its proxy from the environment.
async fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let path = programs::find(program).with_context(|| format!("{program} is missing"))?;
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env("http_proxy", format!("http://{ADDRESS}"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let status = timeout(PROGRAM_TIMEOUT, command.status()).await.context("it takes too long")??;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Fails unless the site gets the request with these fields behind the first two, and no others.
async fn expect(
    far_end: &FarEnd,
    site: &Site,
    fields: &str,
    program: impl Future<Output = Result<()>>,
) -> Result<()> {
    let mark = far_end.mark();
    program.await?;
    let received = far_end.received_since(mark);
    let host = &site.host;
    let expected =
        format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n{fields}\r\n");
    ensure!(received.contains(&expected), "the site gets {received:?} instead of {expected:?}");
    Ok(())
}
