//! Chromium without a window.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

/// How long a page may take. One or two seconds are usual.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The browser and the directory of its files.
pub(crate) struct Browser {
    program: PathBuf,
    directory: PathBuf,
}

impl Browser {
    pub(crate) fn new(lab: &Path) -> Result<Self> {
        let program = programs::find("chromium").context("chromium is missing")?;
        let directory = lab.join("browser");
        fs::create_dir_all(&directory).context("no directory for the browser")?;
        Ok(Self { program, directory })
    }

    /// The directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the DOM that the browser has made of a page.
    pub(crate) async fn dom(&self, url: &str) -> Result<String> {
        self.run(&["--dump-dom"], url).await
    }

    /// Writes a screenshot of a page to `file`.
    pub(crate) async fn screenshot(&self, url: &str, file: &Path, option: Option<&str>) -> Result<()> {
        let directory = file.parent().context("no directory")?;
        fs::create_dir_all(directory).with_context(|| format!("could not make {}", directory.display()))?;
        let screenshot = format!("--screenshot={}", file.display());
        let options = [&screenshot, "--window-size=500,1000", "--hide-scrollbars"];
        self.run(&options.into_iter().chain(option).collect::<Vec<_>>(), url).await?;
        let picture = fs::read(file).context("there is no picture")?;
        ensure!(
            picture.starts_with(b"\x89PNG") && picture.len() > 10_000,
            "the picture has {} bytes",
            picture.len()
        );
        Ok(())
    }

    /// Runs the browser until it has shown a page, and returns what it prints.
    pub(crate) async fn run(&self, options: &[&str], url: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        // Root cannot make Chromium's own sandbox, and the suite runs in one already.
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .arg(format!("--user-data-dir={}", self.directory.join("profile").display()))
            .args(options)
            .arg(url)
            .env("HOME", &self.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output =
            timeout(PAGE_TIMEOUT, command.output()).await.context("the browser takes too long")??;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && !errors.contains("Page load failed"),
            "{}: {errors}",
            output.status
        );
        String::from_utf8(output.stdout).context("not text")
    }
}
