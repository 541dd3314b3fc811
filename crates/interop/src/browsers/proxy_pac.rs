//! A `proxy.pac` that names an HTTP proxy, as a browser uses it.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use lab::site::PAGE_TEXT;
use programs::Workspace;
use tokio::process::Command;

use super::{OF_FIREFOX, PLAIN, SESSION_TIMEOUT, driver::Driver, firefox::Firefox};

/// Opens a site, and the pages of the proxy, which only a browser gets that uses it as an HTTP proxy.
pub(super) async fn check(browser: &mut Firefox, workspace: &Workspace, directory: &Path) -> Result<()> {
    let mut generate = Command::new(workspace.proxy());
    generate.args(["generate", "pac", "--http", "--config"]).arg(directory.join("i2p-socks.toml"));
    let output = generate.arg("--state-dir").arg(directory.join("i2p-socks")).output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains(&format!("PROXY {PLAIN}")), "generate pac says\n{text}");
    let file = directory.join("proxy.pac");
    fs::write(&file, &*text)?;
    browser.through_pac(&format!("file://{}", file.display())).await?;
    browser.open("http://proxy.i2p/").await?;
    browser.wait_for_text(PLAIN, SESSION_TIMEOUT).await?;
    browser.open(&format!("http://{}/", OF_FIREFOX[0])).await?;
    browser.wait_for_text(PAGE_TEXT, SESSION_TIMEOUT).await
}
