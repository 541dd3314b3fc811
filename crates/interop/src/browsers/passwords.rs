//! A tunnel with passwords: the browser asks the person for one.

use std::path::Path;

use anyhow::{Result, ensure};
use lab::site::PAGE_TEXT;

use super::{
    OF_CHROMIUM, OF_FIREFOX, PASSWORD, PASSWORDS, SESSION_TIMEOUT, USER,
    chromium::Chromium,
    driver::Driver,
    firefox::Firefox,
    pages::{self, OwnPage},
};

/// The realm of the proxy, which the prompt of Firefox shows.
const REALM: &str = "i2p-socks";

/// Gives a wrong password and gives up, which shows a page of the proxy; then the right one.
pub(super) async fn in_chromium(browser: &mut Chromium, pictures: &Path) -> Result<()> {
    let url = format!("http://{}/", OF_CHROMIUM[0]);
    browser.through(PASSWORDS).await?;
    browser.answer_prompts(USER, "wrong").await?;
    let texts = &["The user name or the password of the proxy is wrong"];
    let page = OwnPage { url: url.clone(), name: "wrong-password", status: "407", texts };
    pages::check(browser, &page, pictures).await?;
    browser.answer_prompts(USER, PASSWORD).await?;
    browser.open(&url).await?;
    browser.wait_for_text(PAGE_TEXT, SESSION_TIMEOUT).await
}

/// Gives a wrong password, is asked again, and gives the right one.
pub(super) async fn in_firefox(browser: &mut Firefox) -> Result<()> {
    browser.answer_prompts(&[(USER, "wrong"), (USER, PASSWORD)]).await?;
    // The page of the check before has the same text.
    browser.open("about:blank").await?;
    browser.through(PASSWORDS).await?;
    browser.open(&format!("http://{}/", OF_FIREFOX[0])).await?;
    browser.wait_for_text(PAGE_TEXT, SESSION_TIMEOUT).await?;
    let prompts = browser.prompts().await?;
    let (asked, with_realm) = (prompts.lines().count(), prompts.matches(REALM).count());
    ensure!((asked, with_realm) == (2, 2), "the prompts of the browser were\n{prompts}");
    Ok(())
}
