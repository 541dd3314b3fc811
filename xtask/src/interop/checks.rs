//! What is checked, in the order in which it is.

use std::{fmt, fs, future::Future, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use super::{
    addresses,
    curl::{Curl, REFUSED_BY_PROXY},
    i2pd::Network,
    names,
    outproxies::{self, Programs},
    payload,
    proxy::{self, Proxy},
    site::{DOWNLOAD_SEED, PAGE, Site},
};
use crate::lab::wait::{Attempt, until};

/// How a client gets its target's name to the proxy.
pub(crate) const SOCKS4A: &str = "--socks4a";
pub(crate) const SOCKS5_NAME: &str = "--socks5-hostname";
/// curl turns the name into an address itself: with an address as the name, that is what arrives.
const SOCKS5_ADDRESS: &str = "--socks5";

/// Reply codes of SOCKS5 (RFC 1928 section 6) and SOCKS4.
const GENERAL_FAILURE: u8 = 1;
pub(crate) const NOT_ALLOWED: u8 = 2;
pub(crate) const HOST_UNREACHABLE: u8 = 4;
const TTL_EXPIRED: u8 = 6;
const SOCKS4_REJECTED: u8 = 91;

/// How long a router that was killed may take until streams go through it again: it has to build its tunnels anew.
const RECOVERY: Duration = Duration::from_secs(180);
/// How long the proxy may take to see and say that its router is gone.
const NOTICE: Duration = Duration::from_secs(10);

/// How many checks passed and failed.
#[derive(Default)]
pub(crate) struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Whether there were checks and none failed.
    pub(crate) fn all_passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Adds what another one has counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    pub(super) async fn check(&mut self, name: &str, work: impl Future<Output = Result<()>>) {
        self.check_and_tell(name, async { work.await.map(|()| String::new()) }).await;
    }

    /// A check that has something to tell beside its outcome, such as ": 9 of 10".
    pub(super) async fn check_and_tell(&mut self, name: &str, work: impl Future<Output = Result<String>>) {
        let start = Instant::now();
        match work.await {
            Ok(told) => {
                self.passed += 1;
                println!("ok   {name}{told} ({:.1} s)", start.elapsed().as_secs_f64());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interop: {} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs all checks. The last ones end the router and the proxy.
pub(crate) async fn run(
    report: &mut Report,
    curl: &Curl,
    network: &mut Network,
    site: &Site,
    exits: &mut Programs,
    proxy: &mut Proxy,
) {
    pages(report, curl, site).await;
    report.check("5 MB down, the sum is right", download(curl, site)).await;
    report.check("5 MB up, the far end's sum is right", upload(curl, site)).await;
    refusals(report, curl).await;
    addresses::run(report, curl, site).await;
    outproxies::run(report, curl, exits).await;
    names::run(report, curl, site, proxy).await;
    report
        .check(
            "two SOCKS5 users are two destinations to the site, one user is one",
            isolation_despite_crashes(curl, site, network),
        )
        .await;
    report.check("plain HTTP to the SOCKS port is answered with an explanation", explanation(curl)).await;
    router_loss(report, curl, network, site, proxy).await;
}

async fn pages(report: &mut Report, curl: &Curl, site: &Site) {
    for (protocol, option) in [("SOCKS4a", SOCKS4A), ("SOCKS5", SOCKS5_NAME)] {
        report.check(&format!("{protocol}, page by host name"), page(curl, &[option], &site.host)).await;
        report.check(&format!("{protocol}, page by base32 address"), page(curl, &[option], &site.b32)).await;
    }
    let connect = ["--proxytunnel", "--proxy"];
    report.check("HTTP CONNECT, page by host name", page(curl, &connect, &site.host)).await;
    report.check("HTTP CONNECT, page by base32 address", page(curl, &connect, &site.b32)).await;
    let user = ["--proxy-user", "user:password", "--proxytunnel", "--proxy"];
    report.check("HTTP CONNECT with user name and password, page", page(curl, &user, &site.host)).await;
    let upper = site.host.to_ascii_uppercase();
    report.check("SOCKS5, page by host name in capitals", page(curl, &[SOCKS5_NAME], &upper)).await;
    let user = ["--proxy-user", "user:password", SOCKS5_NAME];
    report.check("SOCKS5 with user name and password, page", page(curl, &user, &site.host)).await;
}

/// The options end with the one that takes the proxy's address.
pub(crate) async fn page(curl: &Curl, options: &[&str], host: &str) -> Result<()> {
    page_by(curl, options, proxy::ADDRESS, host).await
}

/// The same by another tunnel.
pub(crate) async fn page_by(curl: &Curl, options: &[&str], address: &str, host: &str) -> Result<()> {
    let url = format!("http://{host}/");
    let fetched = fetch(curl, &[options, &[address, &url]].concat()).await?;
    ensure!(fetched == PAGE.as_bytes(), "another page: {:?}", String::from_utf8_lossy(&fetched));
    Ok(())
}

async fn fetch(curl: &Curl, arguments: &[&str]) -> Result<Vec<u8>> {
    let outcome = curl.run(&[&["--fail"], arguments].concat()).await?;
    ensure!(outcome.code == 0, "curl ended with {}: {}", outcome.code, outcome.stderr);
    Ok(outcome.stdout)
}

pub(crate) async fn download(curl: &Curl, site: &Site) -> Result<()> {
    let url = format!("http://{}/large", site.host);
    let fetched = fetch(curl, &[SOCKS5_NAME, proxy::ADDRESS, &url]).await?;
    ensure!(fetched.len() == payload::LARGE, "{} bytes of {}", fetched.len(), payload::LARGE);
    let expected = payload::sum(&payload::bytes(DOWNLOAD_SEED, payload::LARGE));
    ensure!(payload::sum(&fetched) == expected, "the bytes have changed on the way");
    Ok(())
}

pub(crate) async fn upload(curl: &Curl, site: &Site) -> Result<()> {
    let bytes = payload::bytes("upload", payload::LARGE);
    fs::write(curl.directory().join("upload"), &bytes).context("could not write the upload")?;
    let url = format!("http://{}/sum", site.host);
    // Without "Expect", which would make curl wait for a go-ahead that the site does not give.
    let body = ["--data-binary", "@upload", "--header", "Expect:"];
    let answer = fetch(curl, &[&body[..], &[SOCKS5_NAME, proxy::ADDRESS, &url]].concat()).await?;
    let expected = payload::sum(&bytes);
    ensure!(
        answer == expected.as_bytes(),
        "the far end got other bytes: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

/// Each failure has its own reply code (the failure table of `i2p-tunnel`).
async fn refusals(report: &mut Report, curl: &Curl) {
    let nobody = format!("http://{}.b32.i2p/", "a".repeat(52));
    let table: [(&str, &str, &str, &[u8]); 7] = [
        ("SOCKS5, unknown name", SOCKS5_NAME, "http://nosuch.i2p/", &[HOST_UNREACHABLE]),
        ("SOCKS4a, unknown name", SOCKS4A, "http://nosuch.i2p/", &[SOCKS4_REJECTED]),
        ("SOCKS5, destination that is not there", SOCKS5_NAME, &nobody, &[HOST_UNREACHABLE, TTL_EXPIRED]),
        ("SOCKS5, IPv4 address", SOCKS5_ADDRESS, "http://198.51.100.7/", &[NOT_ALLOWED]),
        ("SOCKS5, IPv4 address of this machine", SOCKS5_ADDRESS, "http://127.0.0.1/", &[NOT_ALLOWED]),
        ("SOCKS5, host outside I2P", SOCKS5_NAME, "http://example.com/", &[NOT_ALLOWED]),
        ("SOCKS4a, host outside I2P", SOCKS4A, "http://example.com/", &[SOCKS4_REJECTED]),
    ];
    for (what, option, url, codes) in table {
        let name = format!("{what}: refused with {codes:?}");
        report.check(&name, refused(curl, option, url, codes)).await;
    }
}

/// curl says "Can't complete SOCKS5 connection to HOST. (CODE)", and "SOCKS4 ... (CODE), reason".
pub(crate) async fn refused(curl: &Curl, option: &str, url: &str, codes: &[u8]) -> Result<()> {
    let outcome = curl.run(&[option, proxy::ADDRESS, url]).await?;
    ensure!(outcome.code != 0, "it was not refused");
    let said = |code: &u8| outcome.stderr.contains("SOCKS") && outcome.stderr.contains(&format!(" ({code})"));
    ensure!(
        outcome.code == REFUSED_BY_PROXY && codes.iter().any(said),
        "curl ended with {}: {}",
        outcome.code,
        outcome.stderr
    );
    Ok(())
}

/// i2pd 2.45 now and then ends by a signal while it builds several sessions. Then it is started again, once, and the check is
/// made again: it is about the proxy.
async fn isolation_despite_crashes(curl: &Curl, site: &Site, network: &mut Network) -> Result<()> {
    let first = isolation(curl, site).await;
    if first.is_ok() || !network.client_router_has_crashed().await {
        return first;
    }
    println!("     the proxy's router has crashed, and is started again");
    network.restart_client_router().await?;
    until("the page, after the router's return", RECOVERY, async || {
        Ok(Attempt::of(page(curl, &[SOCKS5_NAME], &site.host).await))
    })
    .await?;
    isolation(curl, site).await
}

/// Sessions of users are built when they first come, which takes i2pd 20 s and more each.
async fn isolation(curl: &Curl, site: &Site) -> Result<()> {
    let url = format!("http://{}/who", site.host);
    let who = async |user: &str| {
        let user = format!("{user}:x");
        let fetched = fetch(curl, &["--proxy-user", &user, SOCKS5_NAME, proxy::ADDRESS, &url]).await?;
        String::from_utf8(fetched).context("no address")
    };
    let (alice, bob) = tokio::try_join!(who("alice"), who("bob"))?;
    ensure!(alice.ends_with(".b32.i2p") && bob.ends_with(".b32.i2p"), "no addresses: {alice}, {bob}");
    ensure!(alice != bob, "both come from {alice}");
    let again = who("alice").await?;
    ensure!(alice == again, "alice comes from {alice}, and then from {again}");
    Ok(())
}

async fn explanation(curl: &Curl) -> Result<()> {
    let url = format!("http://{}/", proxy::ADDRESS);
    let outcome = curl.run(&["--include", &url]).await?;
    let answer = String::from_utf8_lossy(&outcome.stdout);
    ensure!(outcome.code == 0, "curl ended with {}: {}", outcome.code, outcome.stderr);
    ensure!(answer.starts_with("HTTP/1."), "no status line: {answer}");
    ensure!(answer.contains("SOCKS"), "the page does not speak of SOCKS: {answer}");
    Ok(())
}

async fn router_loss(
    report: &mut Report,
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
    report.check(&format!("SOCKS5, router killed: refused with [{GENERAL_FAILURE}]"), refused).await;
    report.check("the proxy says in its log that the router is gone", log_of_loss(proxy, lines_before)).await;
    report.check("the proxy still runs", async { proxy.is_alive() }).await;
    let recovery = async {
        network.restart_client_router().await?;
        until("the page, after the router's return", RECOVERY, async || {
            Ok(Attempt::of(page(curl, &[SOCKS5_NAME], &site.host).await))
        })
        .await
    };
    report.check("the router restarted: the page again, without restarting the proxy", recovery).await;
    report.check("SIGTERM ends the proxy with exit code 0", proxy.terminate()).await;
}

/// One line that says what happened, apart from those of the requests that fail because of it.
async fn log_of_loss(proxy: &Proxy, lines_before: usize) -> Result<()> {
    until("a log line on the loss", NOTICE, async || {
        let log = proxy.log();
        let says_it = |line: &&str| line.contains("router") && line.contains("session");
        Ok(match log.lines().skip(lines_before).find(says_it) {
            Some(line) => {
                println!("     {line}");
                Attempt::Done(())
            }
            None => Attempt::NotYet("no line has \"router\" and \"session\" in it".into()),
        })
    })
    .await
}
