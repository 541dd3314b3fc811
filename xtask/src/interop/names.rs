//! The proxy's own address book: filled by a subscription that is read through I2P.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    checks::{Report, page},
    curl::Curl,
    proxy::Proxy,
    site::{LISTED, Site},
};
use crate::lab::wait::{Attempt, until};

/// How long a feed may take to be read: its session has to be built, which takes i2pd 20 s and more.
const READ: Duration = Duration::from_secs(180);

pub(super) async fn run(report: &mut Report, curl: &Curl, site: &Site, proxy: &Proxy) {
    report.check("a name that only a feed knows: refused before", unknown(curl)).await;
    report.check("a subscription on the I2P site fills the address book", subscription(site, proxy)).await;
    report.check("SOCKS5, page by the feed's name", page(curl, &["--socks5-hostname"], LISTED)).await;
    report.check("the subscription is read again: nothing new", nothing_new(proxy)).await;
}

async fn unknown(curl: &Curl) -> Result<()> {
    ensure!(page(curl, &["--socks5-hostname"], LISTED).await.is_err(), "somebody knows it");
    Ok(())
}

async fn subscription(site: &Site, proxy: &Proxy) -> Result<()> {
    let url = format!("http://{}/hosts.txt", site.host);
    proxy.command(&["names", "subscribe", &url]).await?;
    until("the feed is read", READ, async || Ok(Attempt::of(proxy.command(&["names", "update"]).await)))
        .await?;
    let listed = proxy.command(&["names", "list"]).await?;
    ensure!(
        listed.contains(LISTED) && listed.contains(&site.b32) && listed.contains(&url),
        "the book holds {listed:?}"
    );
    Ok(())
}

async fn nothing_new(proxy: &Proxy) -> Result<()> {
    let said = proxy.command(&["names", "update"]).await?;
    ensure!(said.ends_with("hosts.txt: nothing new\n"), "it says {said:?}");
    Ok(())
}
