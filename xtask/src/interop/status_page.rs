//! The status page as a browser shows it, in the light and in the dark and on a narrow phone; and what systemd makes of the
//! units.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

use super::{
    checks::Report,
    curl::Curl,
    proxy::{self, ADMIN},
};
use crate::{Workspace, programs};

/// How long the browser may take for a page; one or two seconds are usual.
const LIMIT: Duration = Duration::from_secs(60);
/// Widths of phones that are as narrow as any.
const NARROW: [u32; 2] = [320, 360];
/// How exposed the service may be, of 100, as `systemd-analyze security` counts it: 14 when this was written.
const EXPOSURE: &str = "--threshold=15";

/// Looks at the page of a proxy that is ready, and leaves screenshots in `target/ci-files`.
pub(super) async fn run(report: &mut Report, workspace: &Workspace, lab: &Path, curl: &Curl) {
    let browser = match Browser::new(lab) {
        Ok(browser) => browser,
        Err(error) => return report.check("a browser", async { Err(error) }).await,
    };
    report.check("/ready says 200, and status exits with 0", ready(workspace, lab, curl)).await;
    report.check("the status page says what is so, in Chromium", texts(&browser, curl)).await;
    for (name, more) in [("status-page", None), ("status-page-dark", Some("--force-dark-mode"))] {
        let file = workspace.target().join("ci-files").join(format!("{name}.png"));
        report.check(&format!("screenshot {}", file.display()), browser.screenshot(&file, more)).await;
    }
    for width in NARROW {
        let name = format!("the status page fits into {width} pixels");
        report.check(&name, fits(&browser, curl, width)).await;
    }
    report
        .check("systemd takes the units, and finds the service little exposed", units(workspace, lab))
        .await;
}

async fn fetch(curl: &Curl, path: &str) -> Result<String> {
    let outcome = curl.run(&["--fail", &format!("{ADMIN}{path}")]).await?;
    ensure!(outcome.code == 0, "curl ended with {}: {}", outcome.code, outcome.stderr);
    String::from_utf8(outcome.stdout).context("no text")
}

async fn ready(workspace: &Workspace, lab: &Path, curl: &Curl) -> Result<()> {
    let ready = fetch(curl, "ready").await?;
    ensure!(ready == "Serving at 1 listener\n", "it says {ready:?}");
    let mut status = Command::new(workspace.proxy());
    status.args(["status", "--wait", "--limit", "10s", "--state-dir"]).arg(lab.join("i2p-socks"));
    let output = status.output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("session ready: "), "{}: {said}", output.status);
    Ok(())
}

async fn texts(browser: &Browser, curl: &Curl) -> Result<()> {
    let refused = curl.run(&["--socks5-hostname", proxy::ADDRESS, "http://example.com/"]).await?;
    ensure!(refused.code != 0, "a host outside I2P was not refused");
    let page = browser.dom(ADMIN).await?;
    for text in [
        "Ready: tunnels are built, clients are served.",
        proxy::ADDRESS,
        "our address",
        ".b32.i2p",
        "What failed",
        "not an I2P name, and no route leads there",
        "Only .i2p goes to I2P.",
    ] {
        ensure!(page.contains(text), "{text:?} is not in\n{page}");
    }
    ensure!(!page.contains("example.com"), "the page says where a client wanted to go:\n{page}");
    Ok(())
}

/// The page's own policy allows no script, so that what measures it is a page around a copy.
async fn fits(browser: &Browser, curl: &Curl, width: u32) -> Result<()> {
    let (page, style) = (fetch(curl, "").await?, fetch(curl, "style.css").await?);
    let link = "<link rel=\"stylesheet\" href=\"/style.css\">";
    ensure!(page.contains(link), "the page has no style");
    let page = page.replace(link, &format!("<style>{style}</style>"));
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    let around = format!(
        "<!doctype html>\n<iframe style=\"width:{width}px;height:3000px;border:0\" srcdoc=\"{quoted}\"></iframe>\n<p></p>\n\
         <script>\nonload = () => {{\n\
         const root = document.querySelector('iframe').contentDocument.documentElement;\n\
         document.querySelector('p').textContent = root.scrollWidth + ' of ' + root.clientWidth + ' pixels';\n\
         }};\n</script>\n"
    );
    let file = browser.directory.join("narrow.html");
    fs::write(&file, around).context("could not write the page")?;
    let measured = browser.dom(&format!("file://{}", file.display())).await?;
    let expected = format!("<p>{width} of {width} pixels</p>");
    let found = measured.lines().find(|line| line.contains(" pixels</p>")).unwrap_or("nothing");
    ensure!(measured.contains(&expected), "it is wider: {found}");
    Ok(())
}

/// The units, with a program that is there in the place of one that is not installed.
async fn units(workspace: &Workspace, lab: &Path) -> Result<()> {
    let analyze = programs::find("systemd-analyze").context("systemd-analyze is missing")?;
    let dist = workspace.root().join("dist");
    let service = fs::read_to_string(dist.join("i2p-socks.service"))?;
    ensure!(
        !service.lines().any(|line| line.starts_with("PrivateUsers=")),
        "the unit has PrivateUsers=: all users of a Unix socket are user 65534 then, and share one identity in I2P"
    );
    let program = workspace.proxy().display().to_string();
    let files = [lab.join("i2p-socks.service"), lab.join("i2p-socks.socket")];
    let [unit, socket] = &files;
    fs::write(unit, service.replace("/usr/bin/i2p-socks", &program))?;
    fs::copy(dist.join("i2p-socks.socket"), socket)?;
    for arguments in [&["verify", "--man=no"][..], &["security", "--offline=yes", EXPOSURE]] {
        let mut command = Command::new(&analyze);
        command.args(arguments).arg(unit);
        if arguments.contains(&"verify") {
            command.arg(socket);
        }
        let output = command.output().await.context("could not start systemd-analyze")?;
        let said = String::from_utf8_lossy(&output.stderr);
        // Debian 12's is of version 252, which takes the line before that one.
        let odd: Vec<_> = said
            .lines()
            .filter(|line| !line.contains("notify-reload") && line.contains("i2p-socks"))
            .collect();
        ensure!(output.status.success() && odd.is_empty(), "{arguments:?}: {}\n{said}", output.status);
    }
    Ok(())
}

/// Chromium without a window.
pub(super) struct Browser {
    program: PathBuf,
    directory: PathBuf,
}

impl Browser {
    pub(super) fn new(lab: &Path) -> Result<Self> {
        let program = programs::find("chromium").context("chromium is missing")?;
        let directory = lab.join("browser");
        fs::create_dir_all(&directory).context("no directory for the browser")?;
        Ok(Self { program, directory })
    }

    /// What it made of a page.
    async fn dom(&self, url: &str) -> Result<String> {
        self.run(&["--dump-dom"], url).await
    }

    async fn screenshot(&self, file: &Path, more: Option<&str>) -> Result<()> {
        let directory = file.parent().context("no directory")?;
        fs::create_dir_all(directory).with_context(|| format!("could not make {}", directory.display()))?;
        let option = format!("--screenshot={}", file.display());
        let options = [&option, "--window-size=500,1000", "--hide-scrollbars"];
        self.run(&options.into_iter().chain(more).collect::<Vec<_>>(), ADMIN).await?;
        let picture = fs::read(file).context("there is no picture")?;
        ensure!(
            picture.starts_with(b"\x89PNG") && picture.len() > 10_000,
            "the picture is {} bytes",
            picture.len()
        );
        Ok(())
    }

    /// Runs it until it has shown a page, and gives what it prints.
    pub(super) async fn run(&self, options: &[&str], url: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        // Its own sandbox cannot be made by root, and the suite has one.
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .arg(format!("--user-data-dir={}", self.directory.join("profile").display()))
            .args(options)
            .arg(url)
            .env("HOME", &self.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(LIMIT, command.output()).await.context("the browser takes too long")??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && !said.contains("Page load failed"), "{}: {said}", output.status);
        String::from_utf8(output.stdout).context("no text")
    }
}
