//! Checks of the proxy's own address book, which a subscription fills through I2P.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{
    curl::Curl,
    proxy::Proxy,
    requests::{HOST_UNREACHABLE, SOCKS5_NAME, page, refused},
    site::{LISTED_HOST, Site},
    wait::{Attempt, Patience, until_with},
};

use crate::checklist::Checklist;

/// How long it may take to fetch a feed. Its session has to be built, for which i2pd needs 20 s or more.
const FEED_PATIENCE: Patience =
    Patience { whole: Duration::from_secs(180), attempt: Duration::from_secs(60) };

pub(crate) async fn check(checklist: &mut Checklist, curl: &Curl, site: &Site, proxy: &Proxy) {
    let unknown = format!("http://{LISTED_HOST}/");
    let unknown = refused(curl, SOCKS5_NAME, &unknown, &[HOST_UNREACHABLE]);
    checklist.check("a name that only a feed knows: refused at first", unknown).await;
    checklist.check("a subscription to the I2P site fills the address book", subscribe(site, proxy)).await;
    checklist.check("SOCKS5, page by the feed's name", page(curl, &[SOCKS5_NAME], LISTED_HOST)).await;
    checklist.check("a second update of the subscription brings nothing new", update_again(proxy)).await;
}

async fn subscribe(site: &Site, proxy: &Proxy) -> Result<()> {
    let url = format!("http://{}/hosts.txt", site.host);
    proxy.command(&["names", "subscribe", &url]).await?;
    until_with("the feed is fetched", FEED_PATIENCE, async || {
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
