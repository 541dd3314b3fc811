//! Checks of clients that connect to addresses: virtual addresses of the proxy, and those of its configuration.

use anyhow::{Result, ensure};
use lab::{
    curl::{Curl, Finished, Wrapper},
    proxy::STATIC_ADDRESS,
    requests::{page, page_by_virtual_address},
    site::{PAGE, Site},
};

use crate::{checklist::Checklist, wrappers};

/// The exit code of curl when a name does not resolve.
const NOT_RESOLVED: i32 = 6;

pub(crate) async fn check(checklist: &mut Checklist, curl: &Curl, site: &Site) {
    checklist.check("torsocks curl, page by host name", page_by_torsocks(curl, &site.host)).await;
    checklist.check("torsocks curl, page by base32 address", page_by_torsocks(curl, &site.b32)).await;
    checklist.check("torsocks curl, unknown name: not resolved, with 4", unknown_by_torsocks(curl)).await;
    for protocol in ["socks4", "socks5"] {
        let name = format!("proxychains4 curl, {protocol}, page by host name");
        checklist.check(&name, page_by_proxychains(curl, protocol, &site.host)).await;
        let name = format!("proxychains4 curl, {protocol}, page by a configured address");
        checklist.check(&name, page_by_proxychains(curl, protocol, STATIC_ADDRESS)).await;
    }
    checklist.check("SOCKS4, page by a configured address", page(curl, &["--socks4"], STATIC_ADDRESS)).await;
    for (protocol, option) in [("SOCKS4", "--socks4"), ("SOCKS5", "--socks5")] {
        let name =
            format!("{protocol}, page by the address from RESOLVE, which RESOLVE_PTR turns into the name");
        checklist.check(&name, page_by_virtual_address(curl, option, &site.host)).await;
    }
}

async fn page_by_torsocks(curl: &Curl, host: &str) -> Result<()> {
    is_page(fetch_wrapped(curl, &wrappers::torsocks(curl.directory())?, host).await?)
}

async fn unknown_by_torsocks(curl: &Curl) -> Result<()> {
    let Finished { code, stderr, .. } =
        fetch_wrapped(curl, &wrappers::torsocks(curl.directory())?, "nosuch.i2p").await?;
    ensure!(code == NOT_RESOLVED && stderr.contains("Status reply: 4"), "curl exited with {code}: {stderr}");
    Ok(())
}

async fn page_by_proxychains(curl: &Curl, protocol: &str, host: &str) -> Result<()> {
    is_page(fetch_wrapped(curl, &wrappers::proxychains(curl.directory(), protocol)?, host).await?)
}

async fn fetch_wrapped(curl: &Curl, wrapper: &Wrapper, host: &str) -> Result<Finished> {
    curl.run_wrapped(wrapper, &[&format!("http://{host}/")]).await
}

fn is_page(finished: Finished) -> Result<()> {
    let fetched = finished.succeeded()?;
    let page = String::from_utf8_lossy(&fetched);
    ensure!(page == PAGE, "another page: {page:?}");
    Ok(())
}
