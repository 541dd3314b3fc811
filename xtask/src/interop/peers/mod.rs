//! Datagrams, peers that call back and ssh: a proxy of its own on a router of its own, and what it talks to on another, so that all
//! this goes on beside the other checks.

pub(crate) mod association;
mod bind;
mod datagrams;
pub(crate) mod far;
mod identities;
mod programs;
mod ssh;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, bail};
use tokio::{runtime::Runtime, sync::oneshot, task::spawn_blocking};

use self::far::Far;
use super::{checks::Report, proxy::Proxy};
use crate::{
    lab::router::{Router, Settings, start_all},
    programs::Program,
};

/// What runs here.
pub(super) const PROGRAMS: [Program; 9] = [
    (programs::PYTHON, "python3"),
    (programs::PYSOCKS, "python3-socks"),
    ("node", "nodejs"),
    (programs::NODE_SOCKS, "node-socks"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sha256sum", "coreutils"),
    ("setpriv", "util-linux"),
];
/// Where this proxy listens.
const ADDRESS: &str = "127.0.0.1:4451";
/// As many tunnels as the site has: sessions that others are to find need them, see `super::publish`.
const CONFIGURATION: &str = "\
[session]
length = 1
quantity = 4
[[tunnel]]
udp = \"datagram\"
incoming = true
";

/// The two routers: the proxy's, and that of what it talks to.
pub(super) fn routers() -> [Settings; 2] {
    let router = || Settings { exploratory_hops: 1, ..Settings::default() };
    [router(), Settings { tunnels: ssh::tunnels(), ..router() }]
}

/// A runtime for the peers, on threads of its own: what the other checks compute is not to hold up datagrams.
pub(super) struct Beside(Option<Runtime>);

impl Beside {
    /// New threads, which do nothing yet.
    pub(super) fn new() -> Result<Self> {
        Runtime::new().map(Some).map(Self).context("no runtime for the peers")
    }

    /// Opens what the proxy is to talk to. Returns once the proxy's router finds the echo.
    pub(super) async fn open(&self, routers: &[Router]) -> Result<Far> {
        let [near, far] = routers else { bail!("there are other routers than expected") };
        let (near, far) = (near.bridge().clone(), far.bridge().clone());
        let runtime = self.0.as_ref().context("the runtime has been taken")?.handle().clone();
        let (waiting, gone) = oneshot::channel::<()>();
        let opening = spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    opened = Far::open(&far, &near) => opened,
                    // It ends with the future that waits, so that nothing of it reaches the routers of another network.
                    _ = gone => bail!("nobody waits for it"),
                }
            })
        });
        let opened = opening.await.context("the far end broke")?;
        drop(waiting);
        opened
    }

    /// Begins to run the checks on these two routers, against the site with this address. The receiver gets how they came out.
    pub(super) fn begin(
        mut self,
        program: PathBuf,
        lab: PathBuf,
        routers: Vec<Router>,
        far: Far,
        site: String,
    ) -> oneshot::Receiver<Report> {
        let (sender, report) = oneshot::channel();
        let runtime = self.0.take();
        thread::spawn(move || {
            let Some(runtime) = runtime else { return };
            // Nobody waits for it any more once the other checks have broken off.
            let _ = sender.send(runtime.block_on(run(&program, &lab, routers, far, &site)));
        });
        report
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed on those of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where one of them crashes, as i2pd 2.45 now and then does while it builds several
/// sessions, they are run once more: they are about the proxy.
async fn run(program: &Path, lab: &Path, mut routers: Vec<Router>, far: Far, site: &str) -> Report {
    let mut report = Report::default();
    attempt(&mut report, program, lab, &routers, far, site).await;
    let mut crashed = false;
    for router in &mut routers {
        crashed |= router.is_up().await.is_err();
    }
    if !crashed || report.all_passed() {
        return report;
    }
    println!("     a router of the peers has crashed; they are started again");
    let mut report = Report::default();
    let mut far = None;
    let restart = async {
        for router in &mut routers {
            router.kill().await?;
        }
        start_all(&mut routers, "the peers' routers answer again").await?;
        let [near, beyond] = routers.as_slice() else { bail!("there are other routers than expected") };
        far = Some(Far::open(beyond.bridge(), near.bridge()).await?);
        Ok(())
    };
    report.check("the peers' routers are started again", restart).await;
    if let Some(far) = far {
        attempt(&mut report, program, lab, &routers, far, site).await;
    }
    report
}

async fn attempt(report: &mut Report, program: &Path, lab: &Path, routers: &[Router], far: Far, site: &str) {
    let directory = lab.join("peers");
    let mut all = None;
    let start = async {
        fs::create_dir_all(&directory)?;
        let [near, beyond] = routers else { bail!("there are other routers than expected") };
        let (proxy, server) = tokio::try_join!(
            Proxy::start(program, &directory, near.bridge(), ADDRESS, CONFIGURATION),
            ssh::Server::start(&directory),
        )?;
        all = Some((proxy, server, near, beyond));
        Ok(())
    };
    report.check("a proxy for datagrams and peers is there", start).await;
    let Some((mut proxy, server, near, beyond)) = all else { return };
    let echo = far.echo.b32.to_string();
    datagrams::run(report, &echo).await;
    programs::run(report, &directory, &echo).await;
    bind::run(report, &far).await;
    ssh::run(report, &server, beyond, &proxy, program).await;
    report.check("SIGTERM ends the proxy of the peers with exit code 0", proxy.terminate()).await;
    if !report.all_passed() {
        eprintln!("\nthe log of the peers' proxy:\n{}", proxy.log());
    }
    let mut identities = None;
    let start = async {
        identities = Some(identities::Identities::start(program, &directory, near.bridge()).await?);
        Ok(())
    };
    report.check("a proxy with two tunnels, one of them with a Unix socket, is there", start).await;
    if let Some(mut identities) = identities {
        identities.run(report, site, &echo).await;
        if !report.all_passed() {
            eprintln!("\nthe log of the proxy with two tunnels:\n{}", identities.proxy.log());
        }
        report.check("SIGTERM ends the proxy with two tunnels", identities.proxy.terminate()).await;
    }
}
