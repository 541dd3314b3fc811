//! `proxy.pac` in JavaScript engines: in Node for every odd spelling of a host, and in Chromium, which fetches a page in I2P.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use lab::{
    proxy::ADMIN_URL,
    site::{PAGE, Site},
};
use programs::Workspace;
use serde_json::Value;
use tokio::process::Command;

use crate::{browser::Browser, checklist::Checklist};

/// A program for Node, which reads the file as a browser does and prints the decision for each host.
const NODE_PROGRAM: &str = "
const context = require('vm').createContext({});
const [file, targets] = process.argv.slice(1);
require('vm').runInContext(require('fs').readFileSync(file, 'utf8'), context);
const decide = ([url, host]) => context.FindProxyForURL(url, host);
console.log(JSON.stringify(JSON.parse(targets).map(decide)));
";
/// A route of each kind. All other hosts are left to the browser.
const CONFIGURATION: &str = "
[admin]
pac-rest = 'direct'
[[outproxy]]
name = 'tor'
at = '127.0.0.1:9050'
via = 'tcp'
protocol = 'socks5'
[[route]]
host = '.example.com'
port = '80,8000-8999'
via = ['tor']
[[route]]
host = 'a*c*.org'
via = 'reject'
[[route]]
host = '198.51.100.0/24'
via = ['tor']
[[route]]
host = '2001:db8::/33'
via = ['tor']
[[route]]
host = '10.0.0.0/7'
via = ['tor']
[[route]]
host = '*.test'
via = ['tor']
[[route]]
host = '*o*r*'
via = ['tor']
[virtual-addresses.map]
'192.0.2.80' = 'site.i2p'
";
/// Hosts as browsers write them, and as they do not.
const HOSTS: &str = "x.i2p EXAMPLE.I2P. x.i2p. x.i2p.. i2p I2P. x.i2p.alt x.I2P.ALT. i2p.alt xi2p i2p.example a.onion onion A.Onion. \
    a.onion.. aonion example.com a.b.Example.COM. anexample.com example.com.au example.com.. .example.com ac.org abxc-y.org xac.org \
    a.test localhost a.localhost localhost.test router wpad nas.local printer.home.arpa home.arpa router.lan b.internal x.i2p_ x.i2p- x.l2p x.12p.alt x.i2p._ i2p.a1t x.xn--i2p- x.xn--2p-goc \
    x.xn--2-5tb8d X.XN--2P-GOC. x.xn--i2p-.alt xn--2p-goc.net l2p.net x.xn--p1ai x.xn--vermgensberater-ctb x.xn--mgbaam7a8h x.alt orr.invalid orr.example a_b.net -a.net a..b x.net. xn--bcher-kva.example \
    198.51.100.7 198.51.101.7 10.1.2.3 11.0.0.1 127.0.0.1 250.1.2.3 192.0.2.80 192.0.2.81 1.2.3.4. 010.1.2.3 1.2.3.256 127.1 \
    2130706433 0x7f.1 a.0x 2001:db8::1 2001:db8:7fff:ffff:: 2001:DB8:8000::1 2001:db9::1 ::1 :: fd91:cbed:4d7e::5 fd91:cbed:4d7f::5 \
    ::ffff:198.51.100.7 ::ffff:0:192.0.2.80 64:ff9b::192.0.2.80 ::192.0.2.80 1:2:3:4:5:6:7:: 1:2:3:4:5:6:7::8 1::2::3 \
    1:2:3:4:5:6:1.2.3.4 1:2:3:4:5:6:7:1.2.3.4 1.2.3.4:: 12345:: fe80::1%eth0 [::1";
/// No browser writes a host like this. They must all go to the proxy.
const NON_ASCII_HOSTS: [&str; 3] = ["b\u{fc}cher.example", "x.\u{131}2p", "x.i2\u{ff50}"];
const PORTS: [u16; 2] = [443, 8500];
const PROXY: &str = "SOCKS5 127.0.0.1:4450";
const DIRECT: &str = "DIRECT";

pub(crate) async fn check(checklist: &mut Checklist, workspace: &Workspace, lab: &Path, site: &Site) {
    checklist
        .check(
            "proxy.pac decides in Node as explain does",
            compare(&PacFile::new(workspace, lab, CONFIGURATION)),
        )
        .await;
    checklist
        .check(
            "proxy.pac sends everything to the proxy by default",
            sends_all_to_proxy(&PacFile::new(workspace, lab, "")),
        )
        .await;
    checklist.check("Chromium reaches I2P with proxy.pac", browse(lab, site)).await;
}

/// The `proxy.pac` of a configuration, beside the proxy's own decisions.
struct PacFile {
    proxy: PathBuf,
    configuration: PathBuf,
    file: PathBuf,
    text: &'static str,
}

impl PacFile {
    fn new(workspace: &Workspace, lab: &Path, text: &'static str) -> Self {
        let (configuration, file) = (lab.join("proxy-pac.toml"), lab.join("proxy.pac"));
        Self { proxy: workspace.proxy(), configuration, file, text }
    }

    /// Runs a command of the proxy with the configuration.
    async fn proxy_command(&self, words: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.proxy);
        command.arg("--config").arg(&self.configuration).args(words);
        output_of(&command.output().await?)
    }

    /// The decisions of the file for these hosts and ports.
    async fn decisions(&self, targets: &[(&str, u16)]) -> Result<Vec<String>> {
        fs::write(&self.configuration, self.text)?;
        fs::write(&self.file, self.proxy_command(&["generate", "pac"]).await?)?;
        let urls: Vec<_> = targets.iter().map(|(host, port)| (url(host, *port), host)).collect();
        let mut node = Command::new(programs::find("node").context("node is missing")?);
        node.args(["-e", NODE_PROGRAM]).arg(&self.file).arg(serde_json::to_string(&urls)?);
        let decisions: Vec<String> = serde_json::from_slice(&output_of(&node.output().await?)?)?;
        ensure!(decisions.len() == targets.len(), "{} decisions", decisions.len());
        Ok(decisions)
    }

    /// The proxy's own decision. `.onion` never goes to the browser's DNS, whatever the routes say.
    async fn expected(&self, host: &str, port: u16) -> Result<&'static str> {
        let output = self.proxy_command(&["explain", "--json", "--", host, &port.to_string()]).await?;
        let decision: Value = serde_json::from_slice(&output)?;
        let begins =
            |key, with| decision.get(key).and_then(Value::as_str).is_some_and(|text| text.starts_with(with));
        let has_no_route = begins("decision", "refused") && begins("why", "no route ");
        let onion = host.trim_end_matches('.').to_lowercase();
        let onion = onion == "onion" || onion.ends_with(".onion");
        Ok(if has_no_route && !onion { DIRECT } else { PROXY })
    }
}

fn url(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match port {
        80 => format!("http://{host}/a:1"),
        443 => format!("https://u:1@{host}?b:2"),
        port => format!("HTTP://{host}:{port}#c:3"),
    }
}

fn output_of(output: &Output) -> Result<Vec<u8>> {
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", output.status);
    Ok(output.stdout.clone())
}

async fn compare(pac: &PacFile) -> Result<()> {
    let hosts = HOSTS.split_whitespace();
    let targets: Vec<_> = hosts.flat_map(|host| PORTS.map(|port| (host, port))).collect();
    let decisions = pac.decisions(&targets).await?;
    let mut direct = 0;
    for ((host, port), decision) in targets.iter().zip(&decisions) {
        let expected = pac.expected(host, *port).await?;
        ensure!(decision == expected, "{host} at port {port}: {decision}, not {expected}");
        direct += usize::from(expected == DIRECT);
    }
    ensure!(
        (1..decisions.len()).contains(&direct),
        "{direct} of {} are left to the browser",
        decisions.len()
    );
    let edge_cases: Vec<_> =
        NON_ASCII_HOSTS.iter().map(|host| (*host, 80)).chain([("a.net", 0), ("a.net", 65_535)]).collect();
    let decisions = pac.decisions(&edge_cases).await?;
    ensure!(decisions == [PROXY, PROXY, PROXY, PROXY, DIRECT], "{decisions:?}");
    Ok(())
}

async fn sends_all_to_proxy(pac: &PacFile) -> Result<()> {
    let targets: Vec<_> = HOSTS.split_whitespace().chain(NON_ASCII_HOSTS).map(|host| (host, 443)).collect();
    let decisions = pac.decisions(&targets).await?;
    ensure!(decisions.iter().all(|decision| decision == PROXY), "{decisions:?}");
    Ok(())
}

/// No name server here knows the site's host, so that only the proxy can lead the browser to the page.
async fn browse(lab: &Path, site: &Site) -> Result<()> {
    let browser = Browser::new(lab)?;
    let option = format!("--proxy-pac-url={ADMIN_URL}proxy.pac");
    let page = browser.run(&[&option, "--dump-dom"], &format!("http://{}/", site.host)).await?;
    let title =
        PAGE.split(['<', '>']).find(|text| text.starts_with("Hello")).context("the page has no text")?;
    ensure!(page.contains(title.trim()), "the browser shows\n{page}");
    Ok(())
}
