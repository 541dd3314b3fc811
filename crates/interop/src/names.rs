//! Checks of the proxy's own address book, which a subscription fills through I2P.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{
    curl::Curl,
    proxy::Proxy,
    requests::{SOCKS5_NAME, page},
    site::{LISTED_HOST, Site},
    wait::{Attempt, until},
};

use crate::checklist::Checklist;

/// How long it may take to fetch a feed. Its session has to be built, for which i2pd needs 20 s or more.
const FEED_TIMEOUT: Duration = Duration::from_secs(180);

pub(crate) async fn check(checklist: &mut Checklist, curl: &Curl, site: &Site, proxy: &Proxy) {
    checklist.check("a name that only a feed knows: refused at first", is_unknown(curl)).await;
    checklist.check("a subscription to the I2P site fills the address book", subscribe(site, proxy)).await;
    checklist.check("SOCKS5, page by the feed's name", page(curl, &[SOCKS5_NAME], LISTED_HOST)).await;
    checklist.check("a second update of the subscription brings nothing new", update_again(proxy)).await;
}

async fn is_unknown(curl: &Curl) -> Result<()> {
    ensure!(page(curl, &[SOCKS5_NAME], LISTED_HOST).await.is_err(), "the name is known");
    Ok(())
}

async fn subscribe(site: &Site, proxy: &Proxy) -> Result<()> {
    let url = format!("http://{}/hosts.txt", site.host);
    proxy.command(&["names", "subscribe", &url]).await?;
    until("the feed is fetched", FEED_TIMEOUT, async || {
        Ok(Attempt::of(proxy.command(&["names", "update"]).await))
    })
    .await?;
    let listed = proxy.command(&["names", "list"]).await?;
    ensure!(
        listed.contains(LISTED_HOST) && listed.contains(&site.b32) && listed.contains(&url),
        "the address book holds {listed:?}"
    );
    Ok(())
}

async fn update_again(proxy: &Proxy) -> Result<()> {
    let output = proxy.command(&["names", "update"]).await?;
    ensure!(output.ends_with("hosts.txt: unchanged\n"), "it prints {output:?}");
    Ok(())
}
