//! Clients that connect to addresses: those that the proxy makes up for names, and those of its configuration.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    checks::{Report, page},
    curl::{Curl, Outcome},
    proxy::{self, STATIC_ADDRESS},
    site::{PAGE, Site},
    wrapper::Wrapper,
};

/// curl's exit code where a name does not resolve.
const NOT_RESOLVED: i32 = 6;

pub(super) async fn run(report: &mut Report, curl: &Curl, site: &Site) {
    report.check("torsocks curl, page by host name", through_torsocks(curl, &site.host)).await;
    report.check("torsocks curl, page by base32 address", through_torsocks(curl, &site.b32)).await;
    report.check("torsocks curl, unknown name: not resolved, with 4", torsocks_and_nobody(curl)).await;
    for protocol in ["socks4", "socks5"] {
        let name = format!("proxychains4 curl, {protocol}, page by host name");
        report.check(&name, through_proxychains(curl, protocol, &site.host)).await;
        let name = format!("proxychains4 curl, {protocol}, page by a configured address");
        report.check(&name, through_proxychains(curl, protocol, STATIC_ADDRESS)).await;
    }
    report.check("SOCKS4, page by a configured address", page(curl, &["--socks4"], STATIC_ADDRESS)).await;
    for (protocol, option) in [("SOCKS4", "--socks4"), ("SOCKS5", "--socks5")] {
        let name = format!("{protocol}, page by the address that RESOLVE gave, which RESOLVE_PTR knows");
        report.check(&name, by_virtual_address(curl, option, &site.host)).await;
    }
}

async fn through_torsocks(curl: &Curl, host: &str) -> Result<()> {
    is_page(&below(curl, &Wrapper::torsocks(curl.directory())?, host).await?)
}

async fn torsocks_and_nobody(curl: &Curl) -> Result<()> {
    let Outcome { code, stderr, .. } =
        below(curl, &Wrapper::torsocks(curl.directory())?, "nosuch.i2p").await?;
    ensure!(code == NOT_RESOLVED && stderr.contains("Status reply: 4"), "curl ended with {code}: {stderr}");
    Ok(())
}

async fn through_proxychains(curl: &Curl, protocol: &str, host: &str) -> Result<()> {
    is_page(&below(curl, &Wrapper::proxychains(curl.directory(), protocol)?, host).await?)
}

async fn below(curl: &Curl, wrapper: &Wrapper, host: &str) -> Result<Outcome> {
    curl.run_below(wrapper, &[&format!("http://{host}/")]).await
}

fn is_page(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.code == 0, "curl ended with {}: {}", outcome.code, outcome.stderr);
    let page = String::from_utf8_lossy(&outcome.stdout);
    ensure!(page == PAGE, "another page: {page:?}");
    Ok(())
}

pub(crate) async fn by_virtual_address(curl: &Curl, option: &str, host: &str) -> Result<()> {
    let length = u8::try_from(host.len()).context("a long name")?;
    let asked = [&[3, length][..], host.as_bytes()].concat();
    let [1, address @ ..] = &tor_command(0xf0, &asked).await?[..] else { bail!("no IPv4 address") };
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(address).context("an address of another length")?);
    let name = tor_command(0xf1, &[&[1][..], &address.octets()].concat()).await?;
    ensure!(name == asked, "RESOLVE_PTR says {:?}", String::from_utf8_lossy(&name));
    page(curl, &[option], &IpAddr::from(address).to_string()).await
}

/// A command of Tor's SOCKS extensions, with ATYP and address: those of the reply.
async fn tor_command(command: u8, address: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
    stream.write_all(&[&[5, 1, 0, 5, command, 0], address, &[0, 0]].concat()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let [5, 0, 5, 0, 0, told @ .., 0, 0] = &answer[..] else { bail!("the proxy answered {answer:?}") };
    Ok(told.to_vec())
}
