//! Browsers with our proxy as their HTTP proxy: its own pages, passwords, what sites send, isolation by site.

mod chromium;
mod content;
mod driver;
mod firefox;
mod gate;
mod helper;
mod outproxy;
mod pages;
mod passwords;
mod proxy_pac;

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use i2p_sam::Bridge;
use lab::{
    curl::Curl,
    payload,
    proxy::Proxy,
    site::{HUGE_BYTES, PAGE_TEXT, Site},
};
use programs::{Program, Workspace};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use self::{
    chromium::Chromium,
    content::{identity_at, transfer, web_socket},
    driver::Driver,
    firefox::Firefox,
    gate::Gate,
    helper::Names,
    outproxy::FailingOutproxy,
    pages::OwnPage,
};
use crate::{checklist::Checklist, name_server::NameServer};

/// What the full extent needs beside the programs of the suite.
pub(crate) const PROGRAMS: [Program; 1] = [("firefox-esr", "firefox-esr")];
/// The tunnels of the proxy for browsers: an ordinary one, one with a session for each site, one with passwords.
const PLAIN: &str = "127.0.0.1:4460";
const SITES: &str = "127.0.0.1:4461";
const PASSWORDS: &str = "127.0.0.1:4462";
/// A user of the third one.
const USER: &str = "anna";
const PASSWORD: &str = "correct horse";
/// Names of the site for each browser, which are two sites to it and to the proxy.
type Sites = [&'static str; 2];
const OF_CHROMIUM: Sites = ["first.i2p", "second.i2p"];
const OF_FIREFOX: Sites = ["third.i2p", "fourth.i2p"];
/// Hosts that are no site.
const OTHERS: [&str; 7] =
    ["once-", "keep-", "nobody-has-this.i2p", "outside-i2p", "code-5", "code-6", "jump.i2p"];
/// How long a session may take. i2pd needs 20 s, and 40 s on a busy machine.
const SESSION_TIMEOUT: Duration = Duration::from_secs(120);
/// The page that waits for a session.
const BUILDING: &str = "I2P tunnels are being built";
/// A page that people get is shown after 8 s without a session.
const BUILDING_TIMEOUT: Duration = Duration::from_secs(15);

/// After how long a request that has got no session waits for one that is not ready.
const READY_SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// The proxy for browsers, and the outproxy behind it.
pub(crate) struct BrowserProxy {
    proxy: Proxy,
    /// Before its SAM bridge.
    gate: Gate,
    _outproxy: FailingOutproxy,
    directory: PathBuf,
    /// Makes requests beside the browsers.
    curl: Curl,
    /// The base32 address of the site.
    b32: String,
}

impl BrowserProxy {
    /// The proxy itself.
    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Starts it on a SAM bridge, with its files in `lab`. Returns once all its tunnels are ready.
    pub(crate) async fn start(
        workspace: &Workspace,
        lab: &Path,
        bridge: &Bridge,
        site: &Site,
    ) -> Result<Self> {
        let directory = lab.join("browsers");
        fs::create_dir_all(&directory)?;
        let users = directory.join("users");
        fs::write(&users, users_line(&workspace.proxy()).await?)?;
        let outproxy = FailingOutproxy::start().await?;
        let places = [PLAIN, SITES, PASSWORDS].map(str::to_owned);
        let configuration = configuration(&users, site);
        let gate = Gate::start(bridge).await?;
        let (program, bridge) = (workspace.proxy(), gate.bridge());
        let proxy =
            Proxy::start_as_configured(&program, &directory, &bridge, &places, &configuration).await?;
        let curl = Curl::new(&directory)?;
        Ok(Self { proxy, gate, _outproxy: outproxy, directory, curl, b32: site.b32.clone() })
    }
}

/// What `i2p-socks passwd` prints for the user.
async fn users_line(program: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(["passwd", USER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut passwd = command.spawn()?;
    passwd.stdin.take().context("no stdin")?.write_all(format!("{PASSWORD}\n").as_bytes()).await?;
    let output = passwd.wait_with_output().await?;
    ensure!(output.status.success(), "passwd: {}", output.status);
    Ok(output.stdout)
}

fn configuration(users: &Path, site: &Site) -> String {
    let names = [OF_CHROMIUM, OF_FIREFOX].concat();
    let names: String = names.iter().map(|name| format!("\"{name}\" = \"{}\"\n", site.b32)).collect();
    format!(
        "[session]\nlength = 1\nquantity = 2\n\
         [names]\njump = [\"http://jump.i2p/?name=\"]\n[names.static]\n{names}\
         [[tunnel]]\nname = \"plain\"\nlisten = [\"{PLAIN}\"]\n\
         [[tunnel]]\nname = \"sites\"\nlisten = [\"{SITES}\"]\nisolate = [\"client\", \"site\"]\n\
         [[tunnel]]\nname = \"passwords\"\nlisten = [\"{PASSWORDS}\"]\nisolate = [\"client\"]\n\
         auth = \"required\"\nusers-file = \"{}\"\n\
         [[outproxy]]\nname = \"failing\"\nat = \"{}\"\nvia = \"tcp\"\nprotocol = \"socks5\"\n\
         [[route]]\nhost = \"*.example\"\nvia = [\"failing\"]\n",
        users.display(),
        outproxy::ADDRESS
    )
}

/// How much is done.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    /// Chromium, and 5 MB each way.
    Short,
    /// Also Firefox, and 100 MB each way.
    Full,
}

/// Checks the proxy with the browsers. Pictures of the proxy's pages are written to `target/ci-files/browsers`.
pub(crate) async fn check(
    checklist: &mut Checklist,
    workspace: &Workspace,
    proxy: &BrowserProxy,
    name_server: &NameServer,
    extent: Extent,
) {
    let pictures = workspace.target().join("ci-files/browsers");
    let mut chromium = None;
    let start = async {
        chromium = Some(Chromium::start(&proxy.directory.join("chromium"), PLAIN).await?);
        Ok(())
    };
    checklist.check("Chromium starts", start).await;
    if let Some(mut chromium) = chromium {
        let pictures = pictures.join("chromium");
        let helped = Names { once: "once-1.i2p", keep: "keep-1.i2p" };
        let checks = Checks {
            name: "Chromium",
            sites: OF_CHROMIUM,
            helped,
            b32: &proxy.b32,
            gate: &proxy.gate,
            curl: &proxy.curl,
            pictures: &pictures,
            extent,
        };
        checks.run(checklist, &mut chromium).await;
        let password = passwords::in_chromium(&mut chromium, &pictures);
        checklist.check("Chromium asks for the password of a tunnel", password).await;
    }
    if extent == Extent::Full {
        let mut firefox = None;
        let start = async {
            firefox = Some(Firefox::start(&proxy.directory.join("firefox")).await?);
            Ok(())
        };
        checklist.check("Firefox starts", start).await;
        if let Some(mut firefox) = firefox {
            let checks = Checks {
                name: "Firefox",
                sites: OF_FIREFOX,
                helped: Names { once: "once-2.i2p", keep: "keep-2.i2p" },
                b32: &proxy.b32,
                gate: &proxy.gate,
                curl: &proxy.curl,
                pictures: &pictures.join("firefox"),
                extent,
            };
            checks.run(checklist, &mut firefox).await;
            let pac = proxy_pac::check(&mut firefox, workspace, &proxy.directory);
            checklist.check("Firefox with a proxy.pac that names an HTTP proxy", pac).await;
            let password = passwords::in_firefox(&mut firefox);
            checklist
                .check("Firefox asks for the password of a tunnel, again after a wrong one", password)
                .await;
        }
    }
    let quiet = async {
        for name in [&OF_CHROMIUM[..], &OF_FIREFOX, &OTHERS].concat() {
            ensure!(!name_server.was_asked_for(name), "the name server was asked for {name}");
        }
        Ok(())
    };
    checklist.check("the browsers have asked the name server for none of these hosts", quiet).await;
}

/// What is done with each browser.
struct Checks<'a> {
    name: &'a str,
    sites: Sites,
    /// Names that links explain.
    helped: Names,
    b32: &'a str,
    gate: &'a Gate,
    curl: &'a Curl,
    pictures: &'a Path,
    extent: Extent,
}

impl Checks<'_> {
    async fn run(&self, checklist: &mut Checklist, browser: &mut impl Driver) {
        let Self { name, sites: [site, second], ref helped, b32, pictures, extent, .. } = *self;
        let what = format!("{name}, a site without a session: a page that waits");
        // Takes the sessions that are ready: else the browser may get one of them, and a page that does not wait.
        self.gate.close();
        let [unknown, second] =
            [(PLAIN, pages::UNKNOWN), (SITES, second)].map(|(proxy, host)| self.visit(proxy, host));
        let mut visits = pin!(async { tokio::try_join!(unknown, second) });
        let over = timeout(READY_SESSION_TIMEOUT, &mut visits).await;
        let waits = async {
            // Visits that are not over get sessions together with the browser.
            let rest = async {
                match over {
                    Ok(result) => result,
                    Err(_) => visits.await,
                }
            };
            let (visited, waited) = tokio::join!(rest, self.waits(browser));
            visited.map(|_| ()).and(waited)
        };
        checklist.check(&what, waits).await;
        let own_pages = async {
            browser.through(PLAIN).await?;
            for page in pages::own_pages(site) {
                pages::check(browser, &page, pictures).await.context(page.name)?;
            }
            Ok(())
        };
        checklist.check(&format!("{name} shows the proxy's own pages"), own_pages).await;
        let follow = helper::check(browser, helped, b32, pictures);
        checklist.check(&format!("{name}, links with an address helper"), follow).await;
        // Once more if it fails, since a tunnel may have died meanwhile.
        let echo = async {
            match web_socket(browser, site).await {
                Ok(()) => Ok(()),
                Err(first) => {
                    println!("     made again ({first:#})");
                    web_socket(browser, site).await
                }
            }
        };
        checklist.check(&format!("{name}, a WebSocket"), echo).await;
        let (path, bytes) = match extent {
            Extent::Short => ("/large", payload::LARGE_BYTES),
            Extent::Full => ("/huge", HUGE_BYTES),
        };
        let what = format!("{name}, {} MB down and up, the sum is right", bytes / 1_000_000);
        checklist.check(&what, transfer(browser, site, path, bytes)).await;
        let what = format!("{name}, pictures of another site belong to the page");
        checklist.check(&what, self.isolation(browser)).await;
    }

    /// Opens a site with curl. What comes back is not checked: the browser opens it later.
    ///
    /// # Errors
    /// Curl could not be run.
    async fn visit(&self, proxy: &str, host: &str) -> Result<()> {
        self.curl.run(&["--proxy", proxy, &format!("http://{host}/")]).await?;
        Ok(())
    }

    /// Opens a site for which there is no session: a page says so, and loads itself until the site is there. The gate is closed; it is
    /// opened once the page is shown.
    async fn waits(&self, browser: &mut impl Driver) -> Result<()> {
        let url = format!("http://{}/", self.sites[0]);
        let page_is_shown = async {
            browser.through(SITES).await?;
            browser.run(&format!("location.href = '{url}'")).await?;
            browser.wait_for_text(BUILDING, BUILDING_TIMEOUT).await?;
            let texts = &[BUILDING, "loads itself again"];
            let page = OwnPage { url: url.clone(), name: "building", status: "503", texts };
            pages::check_shown(browser, &page, self.pictures).await
        };
        let result = page_is_shown.await;
        self.gate.open();
        result?;
        browser.wait_for_text(PAGE_TEXT, SESSION_TIMEOUT).await
    }

    /// Shows a picture of the second site, once in a page of the first one and once in a page of its own.
    async fn isolation(&self, browser: &mut impl Driver) -> Result<()> {
        let [first, second] = self.sites;
        browser.through(SITES).await?;
        browser.open(&format!("http://{first}/")).await?;
        let page = identity_at(browser, first).await?;
        let other = identity_at(browser, second).await?;
        ensure!(page == other, "the page is {page}, and its picture of another site {other}");
        browser.open(&format!("http://{second}/")).await?;
        browser.wait_for_text(PAGE_TEXT, SESSION_TIMEOUT).await?;
        let alone = identity_at(browser, second).await?;
        ensure!(page != alone, "the second site sees {alone} in a page of its own as well");
        Ok(())
    }
}
