//! The status page as a browser shows it, in light and dark and on a narrow phone.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use lab::{
    curl::Curl,
    proxy::{self, ADMIN_URL},
    requests::{SOCKS5_NAME, fetch},
};
use programs::Workspace;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{browser::Browser, checklist::Checklist};

/// The widths of the narrowest phones, in pixels.
const NARROW_WIDTHS: [u32; 2] = [320, 360];

/// Checks the status page of a proxy that is ready, and writes screenshots to `target/ci-files`.
pub(crate) async fn check(checklist: &mut Checklist, workspace: &Workspace, lab: &Path, curl: &Curl) {
    let browser = match Browser::new(lab) {
        Ok(browser) => browser,
        Err(error) => return checklist.check("a browser", async { Err(error) }).await,
    };
    checklist
        .check("/ready responds with 200, and status exits with 0", is_ready(workspace, lab, curl))
        .await;
    checklist.check("the status page tells the truth, in Chromium", texts(&browser, curl)).await;
    for (name, option) in [("status-page", None), ("status-page-dark", Some("--force-dark-mode"))] {
        let file = workspace.target().join("ci-files").join(format!("{name}.png"));
        let screenshot = browser.screenshot(ADMIN_URL, &file, option);
        checklist.check(&format!("screenshot {}", file.display()), screenshot).await;
    }
    for width in NARROW_WIDTHS {
        let name = format!("the status page fits into {width} pixels");
        checklist.check(&name, fits(&browser, curl, width)).await;
    }
    checklist.check("promtool finds nothing wrong with the metrics", check_metrics(curl)).await;
}

async fn fetch_text(curl: &Curl, path: &str) -> Result<String> {
    String::from_utf8(fetch(curl, &[&format!("{ADMIN_URL}{path}")]).await?).context("not text")
}

async fn is_ready(workspace: &Workspace, lab: &Path, curl: &Curl) -> Result<()> {
    let ready = fetch_text(curl, "ready").await?;
    ensure!(ready == "Serving on 1 listener\n", "the response is {ready:?}");
    let mut status = Command::new(workspace.proxy());
    status.args(["status", "--wait", "--limit", "10s", "--state-dir"]).arg(lab.join("i2p-socks"));
    let output = status.output().await?;
    let status = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && status.contains("session ready: "), "{}: {status}", output.status);
    Ok(())
}

/// Prometheus itself checks the text that it would read.
async fn check_metrics(curl: &Curl) -> Result<()> {
    let metrics = fetch_text(curl, "metrics").await?;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().context("promtool is needed: apt-get install prometheus")?;
    promtool.stdin.take().context("no stdin")?.write_all(metrics.as_bytes()).await?;
    let output = promtool.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success() && said.is_empty(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

async fn texts(browser: &Browser, curl: &Curl) -> Result<()> {
    let refused = curl.run(&[SOCKS5_NAME, proxy::ADDRESS, "http://example.com/"]).await?;
    ensure!(refused.code != 0, "a host outside I2P was not refused");
    let page = browser.dom(ADMIN_URL).await?;
    for text in [
        "Ready: I2P tunnels are built, and clients are served.",
        proxy::ADDRESS,
        "our address",
        ".b32.i2p",
        "Failures",
        "not an I2P name, and no route leads there",
        "Only .i2p goes to I2P.",
    ] {
        ensure!(page.contains(text), "{text:?} is not in\n{page}");
    }
    ensure!(!page.contains("example.com"), "the page shows the target of a client:\n{page}");
    Ok(())
}

/// Measures a copy of the page inside another page, since the page's own policy allows no script.
async fn fits(browser: &Browser, curl: &Curl, width: u32) -> Result<()> {
    let (page, style) = (fetch_text(curl, "").await?, fetch_text(curl, "style.css").await?);
    let link = "<link rel=\"stylesheet\" href=\"/style.css\">";
    ensure!(page.contains(link), "the page has no style");
    let page = page.replace(link, &format!("<style>{style}</style>"));
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<!doctype html>\n<iframe style=\"width:{width}px;height:3000px;border:0\" srcdoc=\"{quoted}\"></iframe>\n<p></p>\n\
         <script>\nonload = () => {{\n\
         const root = document.querySelector('iframe').contentDocument.documentElement;\n\
         document.querySelector('p').textContent = root.scrollWidth + ' of ' + root.clientWidth + ' pixels';\n\
         }};\n</script>\n"
    );
    let file = browser.directory().join("narrow.html");
    fs::write(&file, frame).context("could not write the page")?;
    let measured = browser.dom(&format!("file://{}", file.display())).await?;
    let expected = format!("<p>{width} of {width} pixels</p>");
    let found = measured.lines().find(|line| line.contains(" pixels</p>")).unwrap_or("nothing");
    ensure!(measured.contains(&expected), "the page is wider: {found}");
    Ok(())
}
