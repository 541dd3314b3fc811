//! The proxy's own pages in a browser: what they say, and what they look like.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{
    SESSION_TIMEOUT,
    driver::{Driver, Look},
};

/// A URL, the name of its pictures, and what the page says.
pub(super) struct OwnPage {
    pub(super) url: String,
    pub(super) name: &'static str,
    /// The status and texts of the page.
    pub(super) status: &'static str,
    pub(super) texts: &'static [&'static str],
}

/// A monitor in both colours, and the narrowest phones.
const LOOKS: [(&str, Look); 3] = [
    ("light", Look { width: 900, dark: false }),
    ("dark", Look { width: 900, dark: true }),
    ("phone", Look { width: 320, dark: true }),
];

/// A name that nobody knows. A jump service is asked for it, in a session of its own.
pub(super) const UNKNOWN: &str = "nobody-has-this.i2p";

/// All pages that a client without password can see at once.
pub(super) fn own_pages(site: &str) -> Vec<OwnPage> {
    let page = |url: &str, name, status, texts| OwnPage { url: url.to_owned(), name, status, texts };
    vec![
        page(
            &format!("http://{UNKNOWN}/"),
            "unknown-name",
            "404",
            &["No address book knows this name", "jump.i2p", "SOCKS 04/F0"],
        ),
        page(
            "http://outside-i2p.example.com/",
            "not-i2p",
            "403",
            &["This address is outside I2P", "SOCKS 02/02"],
        ),
        page("http://code-5.example/", "refused", "502", &["The site refused the connection", "SOCKS 05/F2"]),
        page(
            "http://code-6.example/",
            "timed-out",
            "504",
            &["The site did not answer in time", "SOCKS 06/F7"],
        ),
        page(&format!("http://{site}/garbage"), "bad-answer", "502", &["The site did not answer properly"]),
        page("http://proxy.i2p/", "proxy-i2p", "200", &["i2p-socks"]),
    ]
}

/// Opens a page and checks what it says. Writes pictures of it to `directory`. Before that, there may be a page that waits for a
/// session, such as that in which a jump service is asked.
pub(super) async fn check(browser: &mut impl Driver, page: &OwnPage, directory: &Path) -> Result<()> {
    browser.open(&page.url).await?;
    if let Some(title) = page.texts.first() {
        browser.wait_for_text(title, SESSION_TIMEOUT).await?;
    }
    check_shown(browser, page, directory).await
}

/// Checks the page that the browser shows.
pub(super) async fn check_shown(browser: &mut impl Driver, page: &OwnPage, directory: &Path) -> Result<()> {
    let shown = browser.page().await?;
    ensure!(shown.starts_with(&format!("{} ", page.status)), "{}: {shown}", page.url);
    for text in page.texts {
        ensure!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
    for (look, value) in LOOKS {
        browser.save_picture(value, &directory.join(format!("{}-{look}.png", page.name))).await?;
    }
    // Of the last picture, that of a phone.
    let root = "const root = document.documentElement; return root.scrollWidth <= root.clientWidth";
    ensure!(browser.run(root).await? == "true", "the page is wider than a phone");
    Ok(())
}
