//! `proxy.pac` in JavaScript engines: that of Node for every odd spelling, and Chromium, which it leads into I2P.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::{
    checks::Report,
    proxy::ADMIN,
    site::{PAGE, Site},
    status_page::Browser,
};
use crate::{Workspace, programs};

/// What Node is told: to read such a file as a browser does, and to say what becomes of each host.
const ASK: &str = "
const context = require('vm').createContext({});
const [file, asked] = process.argv.slice(1);
require('vm').runInContext(require('fs').readFileSync(file, 'utf8'), context);
const answer = ([url, host]) => context.FindProxyForURL(url, host);
console.log(JSON.stringify(JSON.parse(asked).map(answer)));
";
/// A route of each kind, and a browser that is left alone otherwise.
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
/// As browsers give them, and as they do not.
const HOSTS: &str = "x.i2p EXAMPLE.I2P. x.i2p. x.i2p.. i2p I2P. x.i2p.alt x.I2P.ALT. i2p.alt xi2p i2p.example a.onion onion A.Onion. \
    a.onion.. aonion example.com a.b.Example.COM. anexample.com example.com.au example.com.. .example.com ac.org abxc-y.org xac.org \
    a.test localhost a.localhost localhost.test router wpad nas.local printer.home.arpa home.arpa router.lan b.internal orr.invalid orr.example a_b.net -a.net a..b x.net. xn--bcher-kva.example \
    198.51.100.7 198.51.101.7 10.1.2.3 11.0.0.1 127.0.0.1 250.1.2.3 192.0.2.80 192.0.2.81 1.2.3.4. 010.1.2.3 1.2.3.256 127.1 \
    2130706433 0x7f.1 a.0x 2001:db8::1 2001:db8:7fff:ffff:: 2001:DB8:8000::1 2001:db9::1 ::1 :: fd91:cbed:4d7e::5 fd91:cbed:4d7f::5 \
    ::ffff:198.51.100.7 ::ffff:0:192.0.2.80 64:ff9b::192.0.2.80 ::192.0.2.80 1:2:3:4:5:6:7:: 1:2:3:4:5:6:7::8 1::2::3 \
    1:2:3:4:5:6:1.2.3.4 1:2:3:4:5:6:7:1.2.3.4 1.2.3.4:: 12345:: fe80::1%eth0 [::1";
/// No browser gives a host so, and none may go anywhere by it.
const FOREIGN: [&str; 3] = ["b\u{fc}cher.example", "x.\u{131}2p", "x.i2\u{ff50}"];
const PORTS: [u16; 2] = [443, 8500];
const HERE: &str = "SOCKS5 127.0.0.1:4450";
const DIRECT: &str = "DIRECT";

pub(super) async fn run(report: &mut Report, workspace: &Workspace, lab: &Path, site: &Site) {
    report
        .check(
            "proxy.pac decides in Node as explain does",
            compare(&Asking::new(workspace, lab, CONFIGURATION)),
        )
        .await;
    report
        .check("proxy.pac leaves nothing out unless told to", closed(&Asking::new(workspace, lab, "")))
        .await;
    report.check("Chromium comes to I2P by proxy.pac, and nowhere else", browse(lab, site)).await;
}

/// The file of a configuration, and what decides in the proxy.
struct Asking {
    proxy: PathBuf,
    configuration: PathBuf,
    file: PathBuf,
    text: &'static str,
}

impl Asking {
    fn new(workspace: &Workspace, lab: &Path, text: &'static str) -> Self {
        let (configuration, file) = (lab.join("proxy-pac.toml"), lab.join("proxy.pac"));
        Self { proxy: workspace.proxy(), configuration, file, text }
    }

    async fn proxy(&self, words: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.proxy);
        command.arg("--config").arg(&self.configuration).args(words);
        ended(&command.output().await?)
    }

    /// What the file says of these hosts at these ports.
    async fn answers(&self, asked: &[(&str, u16)]) -> Result<Vec<String>> {
        fs::write(&self.configuration, self.text)?;
        fs::write(&self.file, self.proxy(&["generate", "pac"]).await?)?;
        let urls: Vec<_> = asked.iter().map(|(host, port)| (url(host, *port), host)).collect();
        let mut node = Command::new(programs::find("node").context("node is missing")?);
        node.args(["-e", ASK]).arg(&self.file).arg(serde_json::to_string(&urls)?);
        let answers: Vec<String> = serde_json::from_slice(&ended(&node.output().await?)?)?;
        ensure!(answers.len() == asked.len(), "{} answers", answers.len());
        Ok(answers)
    }

    /// What is to be said of a host: the proxy's own decision. Of `.onion` no browser asks DNS, whatever the routes say.
    async fn expected(&self, host: &str, port: u16) -> Result<&'static str> {
        let said = self.proxy(&["explain", "--json", "--", host, &port.to_string()]).await?;
        let said: Value = serde_json::from_slice(&said)?;
        let has = |key, word| said.get(key).and_then(Value::as_str) == Some(word);
        let unnamed = has("decision", "refused") && has("why", "no rule matches");
        let onion = host.trim_end_matches('.').to_lowercase();
        let onion = onion == "onion" || onion.ends_with(".onion");
        Ok(if unnamed && !onion { DIRECT } else { HERE })
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

fn ended(output: &Output) -> Result<Vec<u8>> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(output.stdout.clone())
}

async fn compare(asking: &Asking) -> Result<()> {
    let hosts = HOSTS.split_whitespace();
    let asked: Vec<_> = hosts.flat_map(|host| PORTS.map(|port| (host, port))).collect();
    let answers = asking.answers(&asked).await?;
    let mut direct = 0;
    for ((host, port), answer) in asked.iter().zip(&answers) {
        let expected = asking.expected(host, *port).await?;
        ensure!(answer == expected, "{host} at port {port}: {answer}, not {expected}");
        direct += usize::from(expected == DIRECT);
    }
    ensure!((1..answers.len()).contains(&direct), "{direct} of {} go by themselves", answers.len());
    let never: Vec<_> =
        FOREIGN.iter().map(|host| (*host, 80)).chain([("a.net", 0), ("a.net", 65_535)]).collect();
    let answers = asking.answers(&never).await?;
    ensure!(answers == [HERE, HERE, HERE, HERE, DIRECT], "{answers:?}");
    Ok(())
}

async fn closed(asking: &Asking) -> Result<()> {
    let asked: Vec<_> = HOSTS.split_whitespace().chain(FOREIGN).map(|host| (host, 443)).collect();
    let answers = asking.answers(&asked).await?;
    ensure!(answers.iter().all(|answer| answer == HERE), "{answers:?}");
    Ok(())
}

/// There is no name server here that could answer for the site's host: who sees the page has come through the proxy.
async fn browse(lab: &Path, site: &Site) -> Result<()> {
    let browser = Browser::new(lab)?;
    let option = format!("--proxy-pac-url={ADMIN}proxy.pac");
    let page = browser.run(&[&option, "--dump-dom"], &format!("http://{}/", site.host)).await?;
    let title =
        PAGE.split(['<', '>']).find(|text| text.starts_with("Hello")).context("the page says nothing")?;
    ensure!(page.contains(title.trim()), "the browser shows\n{page}");
    Ok(())
}
