//! Checks of datagrams, of peers that connect back (BIND) and of ssh. They use a proxy of their own on a router of its own, and
//! services on another router, so that they can run beside the other checks.

mod bind;
mod datagrams;
mod identities;
mod outages;
pub(crate) mod services;
mod ssh;
mod udp_clients;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, bail};
use lab::{
    proxy::Proxy,
    router::{Router, Settings, start_all},
};
use programs::Program;
use tokio::{runtime::Runtime, sync::oneshot, task::spawn_blocking};

use self::{identities::Identities, services::PeerServices};
use crate::checklist::Checklist;

/// What these checks run.
pub(crate) const PROGRAMS: [Program; 7] = [
    (udp_clients::PYTHON, "python3"),
    (udp_clients::PYSOCKS, "python3-socks"),
    ("node", "nodejs"),
    (udp_clients::NODE_SOCKS, "node-socks"),
    ("ssh", "openssh-client"),
    ("sha256sum", "coreutils"),
    ("setpriv", "util-linux"),
];
/// Where this proxy listens.
const ADDRESS: &str = "127.0.0.1:4451";
/// As many tunnels as the site has: i2pd publishes sessions with fewer less reliably, see [`lab::site`].
const CONFIGURATION: &str = "\
[session]
length = 1
quantity = 4
[[tunnel]]
udp = \"datagram\"
incoming = true
";

/// The settings of the two extra routers: that of the proxy, and that of the services.
pub(crate) fn routers() -> [Settings; 2] {
    let router = || Settings { exploratory_hops: 1, ..Settings::default() };
    [router(), Settings { tunnels: ssh::tunnels(), ..router() }]
}

/// The two routers.
struct Routers<'a> {
    proxy: &'a Router,
    services: &'a Router,
}

impl<'a> Routers<'a> {
    fn of(routers: &'a [Router]) -> Result<Self> {
        let [proxy, services] = routers else { bail!("the peers need two routers") };
        Ok(Self { proxy, services })
    }
}

/// The checks once they are done.
pub(crate) struct Done {
    /// Their results.
    pub(crate) checklist: Checklist,
    /// They run until this is dropped. Other routers build tunnels through them, and for minutes go on to do so when they are gone:
    /// a session may then not be ready within three minutes.
    _routers: Vec<Router>,
}

/// A runtime of the peers with threads of its own, so that other checks, which compute, do not delay datagrams.
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn new() -> Result<Self> {
        Runtime::new().map(Some).map(Self).context("no runtime for the peers")
    }

    /// Opens the services. Returns once the proxy's router finds the echo.
    pub(crate) async fn open_services(&self, routers: &[Router]) -> Result<PeerServices> {
        let Routers { proxy, services } = Routers::of(routers)?;
        let (client_bridge, bridge) = (proxy.bridge().clone(), services.bridge().clone());
        let runtime = self.0.as_ref().context("the runtime is in use")?.handle().clone();
        let (caller, caller_gone) = oneshot::channel::<()>();
        let opening = spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    opened = PeerServices::open(&bridge, &client_bridge) => opened,
                    // Ends with its caller, so that it does not reach the routers of another network.
                    _ = caller_gone => bail!("nobody waits for the services any more"),
                }
            })
        });
        let opened = opening.await.context("opening the services panicked")?;
        drop(caller);
        opened
    }

    /// Starts the checks on these two routers and against the site with this address, in a thread of their own. The receiver
    /// gets their results, and the routers, which still run.
    pub(crate) fn start_checks(
        mut self,
        program: PathBuf,
        lab: PathBuf,
        routers: Vec<Router>,
        services: PeerServices,
        site: String,
    ) -> oneshot::Receiver<Done> {
        let (sender, results) = oneshot::channel();
        let runtime = self.0.take();
        thread::spawn(move || {
            let Some(runtime) = runtime else { return };
            // Nobody receives them if the other checks have failed early.
            let _ = sender.send(runtime.block_on(run(&program, &lab, routers, services, &site)));
        });
        results
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // A runtime must not wait for its threads on a thread of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn run(
    program: &Path,
    lab: &Path,
    mut routers: Vec<Router>,
    services: PeerServices,
    site: &str,
) -> Done {
    let checklist = run_despite_crashes(program, lab, &mut routers, services, site).await;
    Done { checklist, _routers: routers }
}

/// i2pd 2.45 now and then crashes while it builds several sessions. If a router has crashed, the checks run once more: they are
/// about the proxy.
async fn run_despite_crashes(
    program: &Path,
    lab: &Path,
    routers: &mut [Router],
    services: PeerServices,
    site: &str,
) -> Checklist {
    let mut checklist = Checklist::default();
    run_once(&mut checklist, program, lab, routers, services, site).await;
    let mut crashed = false;
    for router in &mut *routers {
        crashed |= router.try_sam().await.is_err();
    }
    if !crashed || checklist.all_passed() {
        return checklist;
    }
    println!("     a router of the peers has crashed; both are started again");
    let mut checklist = Checklist::default();
    let mut services = None;
    let restart = async {
        services = Some(restart(routers).await?);
        Ok(())
    };
    checklist.check("the routers of the peers are started again", restart).await;
    if let Some(services) = services {
        run_once(&mut checklist, program, lab, routers, services, site).await;
    }
    checklist
}

async fn restart(routers: &mut [Router]) -> Result<PeerServices> {
    for router in &mut *routers {
        router.kill().await?;
    }
    start_all(routers, "the routers of the peers answer again").await?;
    let Routers { proxy, services } = Routers::of(routers)?;
    PeerServices::open(services.bridge(), proxy.bridge()).await
}

async fn run_once(
    checklist: &mut Checklist,
    program: &Path,
    lab: &Path,
    routers: &[Router],
    services: PeerServices,
    site: &str,
) {
    let directory = lab.join("peers");
    let mut started = None;
    let start = async {
        fs::create_dir_all(&directory)?;
        let routers = Routers::of(routers)?;
        let (proxy, sshd) = tokio::try_join!(
            Proxy::start(program, &directory, routers.proxy.bridge(), ADDRESS, CONFIGURATION),
            ssh::start_server(&directory),
        )?;
        started = Some((proxy, sshd, routers));
        Ok(())
    };
    checklist.check("a proxy for datagrams and peers starts", start).await;
    let Some((mut proxy, sshd, routers)) = started else { return };
    let echo = services.echo.b32.to_string();
    datagrams::check(checklist, &echo).await;
    udp_clients::check(checklist, &directory, &echo).await;
    bind::check(checklist, &services).await;
    ssh::check(checklist, &sshd, routers.services, &proxy, program).await;
    checklist.check("SIGTERM ends the proxy of the peers with exit code 0", proxy.terminate()).await;
    if !checklist.all_passed() {
        eprintln!("\nthe log of the peers' proxy:\n{}", proxy.log());
    }
    check_identities(checklist, program, &directory, routers.proxy, site, &echo).await;
}

async fn check_identities(
    checklist: &mut Checklist,
    program: &Path,
    directory: &Path,
    router: &Router,
    site: &str,
    echo: &str,
) {
    let mut started = None;
    let start = async {
        started = Some(Identities::start(program, directory, router.bridge()).await?);
        Ok(())
    };
    checklist.check("a proxy with two tunnels starts, one of them on a Unix socket", start).await;
    let Some(mut identities) = started else { return };
    identities.check(checklist, site, echo).await;
    if !checklist.all_passed() {
        eprintln!("\nthe log of the proxy with two tunnels:\n{}", identities.proxy.log());
    }
    checklist.check("SIGTERM ends the proxy with two tunnels", identities.proxy.terminate()).await;
}
