//! The checks of the proxy, in their order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{
    curl::Curl,
    exits::ExitPrograms,
    network::Network,
    proxy::{self, Proxy},
    requests::{
        HOST_UNREACHABLE, HTTP_CONNECT, NOT_ALLOWED, SOCKS4A, SOCKS5_ADDRESS, SOCKS5_NAME, download, fetch,
        first_request, page, refused, until_reached, upload,
    },
    site::Site,
    wait::{Attempt, Patience, until},
};

use crate::{addresses, checklist::Checklist, exits, names};

/// Reply codes of SOCKS5 (RFC 1928 section 6) and SOCKS4.
const GENERAL_FAILURE: u8 = 1;
const TTL_EXPIRED: u8 = 6;
const SOCKS4_REJECTED: u8 = 91;

/// How long it may take after a restart of the router until streams work again: the router has to build its tunnels anew. One
/// attempt may take as long as i2pd looks for a lease set, which is 20 s.
const RECOVERY_PATIENCE: Patience =
    Patience { whole: Duration::from_secs(240), attempt: Duration::from_secs(25) };
/// How long the proxy may take to log that its router has gone.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches a page over the session that has just been built. Later checks expect that the path works.
pub(crate) async fn check_first_page(checklist: &mut Checklist, curl: &Curl, site: &Site) {
    let first = first_request("the first page", async || page(curl, &[SOCKS5_NAME], &site.host).await);
    checklist.check("the first page", first).await;
}

/// Runs the checks that leave the routers and the proxy running.
pub(crate) async fn run(
    checklist: &mut Checklist,
    curl: &Curl,
    network: &mut Network,
    site: &Site,
    exit_programs: &mut ExitPrograms,
    proxy: &Proxy,
) {
    check_pages(checklist, curl, site).await;
    checklist.check("5 MB down, the sum is right", download(curl, site)).await;
    checklist.check("5 MB up, the site's sum is right", upload(curl, site)).await;
    check_refusals(checklist, curl).await;
    addresses::check(checklist, curl, site).await;
    exits::check(checklist, curl, exit_programs).await;
    names::check(checklist, curl, site, proxy).await;
    checklist
        .check(
            "the site sees two SOCKS5 users as two destinations, and each as the same again",
            isolation_despite_crashes(curl, site, network),
        )
        .await;
    checklist.check("plain HTTP to the SOCKS port gets an explanation", explanation(curl)).await;
}

/// Kills the router, starts it again, and ends the proxy.
pub(crate) async fn check_router_loss(
    checklist: &mut Checklist,
    curl: &Curl,
    network: &mut Network,
    site: &Site,
    proxy: &mut Proxy,
) {
    let url = format!("http://{}/", site.host);
    let lines_before = proxy.log().lines().count();
    let refused = async {
        network.kill_client_router().await?;
        refused(curl, SOCKS5_NAME, &url, &[GENERAL_FAILURE]).await
    };
    checklist.check(&format!("SOCKS5, router killed: refused with [{GENERAL_FAILURE}]"), refused).await;
    checklist.check("the proxy logs that its router has gone", logs_the_loss(proxy, lines_before)).await;
    checklist.check("the proxy is still running", async { proxy.check_alive() }).await;
    let recovery = async {
        network.restart_client_router().await?;
        wait_for_page(curl, site).await
    };
    checklist.check("the router restarted: the page again, without restarting the proxy", recovery).await;
    checklist.check("SIGTERM ends the proxy with exit code 0", proxy.terminate()).await;
}

async fn check_pages(checklist: &mut Checklist, curl: &Curl, site: &Site) {
    for (protocol, option) in [("SOCKS4a", SOCKS4A), ("SOCKS5", SOCKS5_NAME)] {
        checklist.check(&format!("{protocol}, page by host name"), page(curl, &[option], &site.host)).await;
        let name = format!("{protocol}, page by base32 address");
        checklist.check(&name, page(curl, &[option], &site.b32)).await;
    }
    checklist.check("HTTP CONNECT, page by host name", page(curl, &HTTP_CONNECT, &site.host)).await;
    checklist.check("HTTP CONNECT, page by base32 address", page(curl, &HTTP_CONNECT, &site.b32)).await;
    let user = ["--proxy-user", "user:password", "--proxytunnel", "--proxy"];
    let name = "HTTP CONNECT with user name and password, page";
    // The user has a session of its own.
    checklist.check(name, first_request(name, async || page(curl, &user, &site.host).await)).await;
    let upper = site.host.to_ascii_uppercase();
    checklist.check("SOCKS5, page by host name in capitals", page(curl, &[SOCKS5_NAME], &upper)).await;
    let user = ["--proxy-user", "user:password", SOCKS5_NAME];
    checklist.check("SOCKS5 with user name and password, page", page(curl, &user, &site.host)).await;
}

/// Each failure has its own reply code (the failure table of `i2p-tunnel`).
async fn check_refusals(checklist: &mut Checklist, curl: &Curl) {
    let nobody = format!("http://{}.b32.i2p/", "a".repeat(52));
    let table: [(&str, &str, &str, &[u8]); 7] = [
        ("SOCKS5, unknown name", SOCKS5_NAME, "http://nosuch.i2p/", &[HOST_UNREACHABLE]),
        ("SOCKS4a, unknown name", SOCKS4A, "http://nosuch.i2p/", &[SOCKS4_REJECTED]),
        ("SOCKS5, destination that is offline", SOCKS5_NAME, &nobody, &[HOST_UNREACHABLE, TTL_EXPIRED]),
        ("SOCKS5, IPv4 address", SOCKS5_ADDRESS, "http://198.51.100.7/", &[NOT_ALLOWED]),
        ("SOCKS5, IPv4 address of this machine", SOCKS5_ADDRESS, "http://127.0.0.1/", &[NOT_ALLOWED]),
        ("SOCKS5, host outside I2P", SOCKS5_NAME, "http://example.com/", &[NOT_ALLOWED]),
        ("SOCKS4a, host outside I2P", SOCKS4A, "http://example.com/", &[SOCKS4_REJECTED]),
    ];
    for (what, option, url, codes) in table {
        let name = format!("{what}: refused with {codes:?}");
        checklist.check(&name, refused(curl, option, url, codes)).await;
    }
}

/// i2pd 2.45 now and then crashes while it builds several sessions. It is then started again, once, and the check repeated: it
/// is about the proxy.
async fn isolation_despite_crashes(curl: &Curl, site: &Site, network: &mut Network) -> Result<()> {
    let first = isolation(curl, site).await;
    if first.is_ok() || !network.client_router_has_crashed().await {
        return first;
    }
    println!("     the proxy's router has crashed and is started again");
    network.restart_client_router().await?;
    wait_for_page(curl, site).await?;
    isolation(curl, site).await
}

/// Waits until the page comes after a restart of the router.
async fn wait_for_page(curl: &Curl, site: &Site) -> Result<()> {
    until_reached("the page, after the restart of the router", RECOVERY_PATIENCE, async || {
        page(curl, &[SOCKS5_NAME], &site.host).await
    })
    .await
}

/// The session of a user is built at the user's first request, for which i2pd needs 20 s or more.
async fn isolation(curl: &Curl, site: &Site) -> Result<()> {
    let url = format!("http://{}/who", site.host);
    let who = async |user: &str| {
        let user = format!("{user}:x");
        let fetched = fetch(curl, &["--proxy-user", &user, SOCKS5_NAME, proxy::ADDRESS, &url]).await?;
        String::from_utf8(fetched).context("not an address")
    };
    let (alice, bob) = tokio::try_join!(
        first_request("alice's first request", async || who("alice").await),
        first_request("bob's first request", async || who("bob").await)
    )?;
    ensure!(alice.ends_with(".b32.i2p") && bob.ends_with(".b32.i2p"), "not addresses: {alice}, {bob}");
    ensure!(alice != bob, "both come from {alice}");
    let again = who("alice").await?;
    ensure!(alice == again, "alice comes from {alice}, and then from {again}");
    Ok(())
}

async fn explanation(curl: &Curl) -> Result<()> {
    let url = format!("http://{}/", proxy::ADDRESS);
    let response = curl.run(&["--include", &url]).await?.succeeded()?;
    let response = String::from_utf8_lossy(&response);
    ensure!(response.starts_with("HTTP/1."), "no status line: {response}");
    ensure!(response.contains("SOCKS"), "the page does not mention SOCKS: {response}");
    Ok(())
}

/// One line describes the loss, apart from those of the requests that fail because of it.
async fn logs_the_loss(proxy: &Proxy, lines_before: usize) -> Result<()> {
    until("a log line about the loss", LOG_TIMEOUT, async || {
        let log = proxy.log();
        let describes_it = |line: &&str| line.contains("router") && line.contains("session");
        Ok(match log.lines().skip(lines_before).find(describes_it) {
            Some(line) => {
                println!("     {line}");
                Attempt::Done(())
            }
            None => Attempt::NotYet("no line contains \"router\" and \"session\"".into()),
        })
    })
    .await
}
