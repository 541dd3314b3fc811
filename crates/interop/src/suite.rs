//! The order of the suite: the network, the proxies, the checks.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::{
    curl::Curl,
    exits::{self, ExitPrograms, Exits},
    formation, namespace,
    network::{self, Network},
    proxy::{self, Proxy},
    router::Settings,
    site::{Services, Site},
};
use programs::Workspace;

use crate::{
    apparmor,
    browsers::{self, BrowserProxy, Extent},
    checklist::Checklist,
    checks, completions,
    contained::Fetch,
    far_end::FarEnd,
    header_fields, leak_guard, metrics_page,
    name_server::NameServer,
    peers::{self, OwnRuntime, services::PeerServices},
    programs_page::{self, Surroundings},
    proxy_pac, status_page, units,
};

/// Forms the network, starts the proxies, runs the checks and prints how many have passed.
pub(crate) async fn run(workspace: &Workspace, lab: &Path) -> Result<()> {
    let extra = peers::routers();
    namespace::set_up(&[network::addresses(extra.len().try_into()?), exits::addresses()].concat())?;
    namespace::add_default_route()?;
    let name_server = NameServer::start(lab).await?;
    let far_end = FarEnd::start(programs_page::SSH_PORT).await?;
    let mut exit_programs = ExitPrograms::start(lab).await?;
    let peer_runtime = OwnRuntime::new()?;
    let formed = formation::form("the network", lab, async |directory| {
        form(directory, &extra, far_end.services(), &exit_programs, &peer_runtime).await
    });
    let Formed { mut network, site, exits, peer_services } = formed.await?;
    let peers = peer_runtime.start_checks(
        workspace.proxy(),
        lab.to_owned(),
        network.take_extra_routers(),
        peer_services,
        site.b32.clone(),
    );
    let configuration =
        proxy::configuration(&site, 1) + &exits.configuration() + &programs_page::configuration(&site);
    let (program, bridge) = (workspace.proxy(), network.client_bridge().clone());
    let starting = Proxy::start(&program, lab, &bridge, proxy::ADDRESS, &configuration);
    // Side by side, since each of them waits for sessions.
    let starting = async { tokio::try_join!(starting, BrowserProxy::start(workspace, lab, &bridge, &site)) };
    let (mut proxy, browser_proxy) = restarting_the_router(&mut network, starting).await?;
    let mut checklist = Checklist::default();
    let curl = Curl::new(lab)?;
    completions::check(&mut checklist, workspace, lab).await;
    status_page::check(&mut checklist, workspace, lab, &curl).await;
    units::check(&mut checklist, workspace, lab).await;
    apparmor::check(&mut checklist, workspace, lab).await;
    checks::check_first_page(&mut checklist, &curl, &site).await;
    let contained = Fetch::start(workspace.proxy(), &proxy, &site);
    proxy_pac::check(&mut checklist, workspace, lab, &site).await;
    browsers::check(&mut checklist, workspace, &browser_proxy, &name_server, Extent::Short).await;
    drop(browser_proxy);
    let surroundings =
        Surroundings::new((workspace, lab), (&proxy, &bridge), (&far_end, &name_server), &site);
    header_fields::check(&mut checklist, lab, &far_end, &site).await;
    programs_page::check(&mut checklist, &surroundings, false).await;
    contained.check(&mut checklist).await;
    leak_guard::check(&mut checklist, &curl).await;
    metrics_page::check(&mut checklist, workspace, lab, &curl, &site).await;
    checks::run(&mut checklist, &curl, &mut network, &site, &mut exit_programs, &proxy).await;
    // Held until the end: it keeps its routers running, through which the restarted one builds tunnels.
    let peers = peers.await.context("the checks of the peers did not finish")?;
    checklist.add(&peers.checklist);
    // The last one, since it kills a router, and with it the tunnels of others.
    checks::check_router_loss(&mut checklist, &curl, &mut network, &site, &mut proxy).await;
    conclude(&checklist, &proxy)
}

/// Runs the commands of `docs/programs.md` alone, and those that are run by hand if asked to.
pub(crate) async fn run_programs(workspace: &Workspace, lab: &Path, with_by_hand: bool) -> Result<()> {
    namespace::set_up(&network::addresses(0))?;
    namespace::add_default_route()?;
    let name_server = NameServer::start(lab).await?;
    let far_end = FarEnd::start(programs_page::SSH_PORT).await?;
    let formed = formation::form("the network", lab, async |directory| {
        let network = Network::start(directory, &[]).await?;
        let site = Site::publish_with_services(&network, far_end.services()).await?;
        Ok((network, site))
    });
    let (mut network, site) = formed.await?;
    let configuration = proxy::configuration(&site, 1) + &programs_page::configuration(&site);
    let (program, bridge) = (workspace.proxy(), network.client_bridge().clone());
    let starting = Proxy::start(&program, lab, &bridge, proxy::ADDRESS, &configuration);
    let proxy = restarting_the_router(&mut network, starting).await?;
    let mut checklist = Checklist::default();
    checks::check_first_page(&mut checklist, &Curl::new(lab)?, &site).await;
    let surroundings =
        Surroundings::new((workspace, lab), (&proxy, &bridge), (&far_end, &name_server), &site);
    header_fields::check(&mut checklist, lab, &far_end, &site).await;
    programs_page::check(&mut checklist, &surroundings, with_by_hand).await;
    conclude(&checklist, &proxy)
}

/// Drives the browsers alone.
pub(crate) async fn run_browsers(workspace: &Workspace, lab: &Path) -> Result<()> {
    namespace::set_up(&network::addresses(0))?;
    namespace::add_default_route()?;
    let name_server = NameServer::start(lab).await?;
    let far_end = FarEnd::start(programs_page::SSH_PORT).await?;
    let formed = formation::form("the network", lab, async |directory| {
        let network = Network::start(directory, &[]).await?;
        let site = Site::publish_with_services(&network, far_end.services()).await?;
        Ok((network, site))
    });
    let (mut network, site) = formed.await?;
    let bridge = network.client_bridge().clone();
    let starting = BrowserProxy::start(workspace, lab, &bridge, &site);
    let proxy = restarting_the_router(&mut network, starting).await?;
    let mut checklist = Checklist::default();
    browsers::check(&mut checklist, workspace, &proxy, &name_server, Extent::Full).await;
    conclude(&checklist, proxy.proxy())
}

/// Prints how many checks have passed, and the proxy's log if one has failed.
fn conclude(checklist: &Checklist, proxy: &Proxy) -> Result<()> {
    if !checklist.all_passed() {
        eprintln!("\nthe proxy's log:\n{}", proxy.log());
    }
    println!("\n{checklist}");
    ensure!(checklist.all_passed(), "not every check passed");
    Ok(())
}

/// What exists before one of our proxies starts.
struct Formed {
    network: Network,
    site: Site,
    exits: Exits,
    peer_services: PeerServices,
}

/// Starts the routers and waits until each service is found from another router.
async fn form(
    directory: &Path,
    extra: &[Settings],
    services: Services,
    exit_programs: &ExitPrograms,
    peer_runtime: &OwnRuntime,
) -> Result<Formed> {
    let network = Network::start(directory, extra).await?;
    let (site, exits, peer_services) = tokio::try_join!(
        Site::publish_with_services(&network, services),
        exit_programs.publish(&network),
        peer_runtime.open_services(network.extra_routers())
    )?;
    Ok(Formed { network, site, exits, peer_services })
}

/// Waits until a proxy is ready. i2pd 2.45 now and then crashes while it builds several sessions at once, as our proxy asks it
/// to. It is then started again, and the proxy has to recover from that.
async fn restarting_the_router<T>(
    network: &mut Network,
    starting: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return started,
            exited = network.client_router_exited() => {
                println!("     the proxy's router has exited by itself ({}) and is started again", exited?);
                network.restart_client_router().await?;
            }
        }
    }
}
