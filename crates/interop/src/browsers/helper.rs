//! Links with an address helper: left, followed once, kept, and in conflict with what is known.

use std::path::Path;

use anyhow::{Result, ensure};
use lab::site::PAGE_TEXT;

use super::{
    SESSION_TIMEOUT,
    driver::Driver,
    pages::{self, OwnPage},
};

/// Names that nobody knows yet.
pub(super) struct Names {
    pub(super) once: &'static str,
    pub(super) keep: &'static str,
}

const ASKS: &str = "Where should this name lead?";
const WARNS: &str = "Careful: this name is known with another destination";
const UNKNOWN: &str = "No address book knows this name";
/// What the proxy's own site says.
const HOME: &str = "Your program uses i2p-socks";

/// Follows links to the site with this base32 address.
pub(super) async fn check(
    browser: &mut impl Driver,
    names: &Names,
    b32: &str,
    pictures: &Path,
) -> Result<()> {
    let Names { once, keep } = names;
    let link = |name: &str| format!("http://{name}/?i2paddresshelper={b32}");
    let page = OwnPage { url: link(once), name: "address-helper", status: "200", texts: &[ASKS] };
    pages::check(browser, &page, pictures).await?;
    ensure!(browser.page().await?.contains(b32), "the page does not show the destination");
    click(browser, "a[href=\"/\"]", HOME).await?;
    browser.open(&format!("http://{once}/")).await?;
    browser.wait_for_text(UNKNOWN, SESSION_TIMEOUT).await?;
    for (name, choice) in [(once, "once"), (keep, "keep")] {
        browser.open(&link(name)).await?;
        click(browser, &format!("button[value={choice}]"), PAGE_TEXT).await?;
        let url = browser.run("return location.href").await?;
        ensure!(url == format!("http://{name}/"), "the browser is at {url}");
    }
    let other = format!("http://{keep}/?i2paddresshelper={}.b32.i2p", "a".repeat(52));
    let page = OwnPage { url: other, name: "address-helper-conflict", status: "200", texts: &[WARNS] };
    pages::check(browser, &page, pictures).await?;
    ensure!(browser.page().await?.contains(b32), "the page does not show what is known");
    click(browser, &format!("a[href=\"http://{keep}/\"]"), PAGE_TEXT).await
}

/// Clicks what a selector finds, and waits for the page behind it.
async fn click(browser: &mut impl Driver, selector: &str, text: &str) -> Result<()> {
    browser.run(&format!("document.querySelector('{selector}').click()")).await?;
    browser.wait_for_text(text, SESSION_TIMEOUT).await
}
