//! What the checks do with a browser.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::wait::{Attempt, until};

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// The width of the window in pixels.
    pub(super) width: u32,
    /// Whether the person prefers dark pages.
    pub(super) dark: bool,
}

/// A browser with an open tab.
pub(super) trait Driver {
    /// Uses the proxy at this address from now on, as far as possible in a tab of its own.
    async fn through(&mut self, proxy: &str) -> Result<()>;

    /// Opens a page. Returns once it is loaded.
    async fn open(&mut self, url: &str) -> Result<()>;

    /// Runs the body of an asynchronous function in the page, and returns its result as text.
    async fn run(&mut self, script: &str) -> Result<String>;

    /// A picture of what the window shows (PNG).
    async fn picture(&mut self, look: Look) -> Result<Vec<u8>>;

    /// The status and the text of the page.
    async fn page(&mut self) -> Result<String> {
        self.run(
            "const [entry] = performance.getEntriesByType('navigation'); \
             return entry.responseStatus + ' ' + document.body.innerText;",
        )
        .await
    }

    /// Waits until the page contains a text. Nothing is done to the page meanwhile.
    async fn wait_for_text(&mut self, text: &str, limit: Duration) -> Result<()> {
        until(&format!("the browser shows {text:?}"), limit, async || match self.page().await {
            Ok(page) if page.contains(text) => Ok(Attempt::Done(())),
            Ok(page) => Ok(Attempt::NotYet(format!("it shows {page}"))),
            // The page is being replaced.
            Err(error) => Ok(Attempt::NotYet(format!("{error:#}"))),
        })
        .await
    }

    /// Writes a picture of the page to a file.
    async fn save_picture(&mut self, look: Look, file: &Path) -> Result<()> {
        let picture = self.picture(look).await?;
        ensure!(picture.starts_with(b"\x89PNG") && picture.len() > 3_000, "an empty picture");
        fs::create_dir_all(file.parent().context("no directory")?)?;
        fs::write(file, picture).with_context(|| format!("could not write {}", file.display()))
    }
}
