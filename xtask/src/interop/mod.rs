//! `cargo xtask interop`: a private network of real i2pd routers, our proxy on the SAM bridge of one of them, a
//! web site on another, and curl in between.
//!
//! The suite runs twice: outside, where it finds the programs, builds the proxy and makes a network namespace; and
//! inside that namespace, where the network is and the checks are. Nothing waits for a fixed time: each stage has
//! a condition and a limit.

pub(crate) mod addresses;
pub(crate) mod checks;
pub(crate) mod curl;
pub(crate) mod i2pd;
mod names;
pub(crate) mod outproxies;
pub(crate) mod payload;
pub(crate) mod peers;
pub(crate) mod proxy;
mod proxy_pac;
pub(crate) mod sam_conformance;
pub(crate) mod site;
mod status_page;
mod wrapper;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use i2p_name::I2pName;
use i2p_sam::{Bridge, Session, SessionOptions};
use tokio::runtime::Runtime;

use self::{
    checks::Report,
    curl::Curl,
    i2pd::{Network, SiteKey},
    outproxies::{Exits, Programs},
    peers::far::Far,
    proxy::Proxy,
    site::Site,
};
use crate::{
    Workspace,
    lab::{
        formation,
        namespace::{self, INSIDE, NETWORK},
        router::Settings,
        wait::{Attempt, until},
    },
    programs::{self, Program},
};

/// The chore's name.
pub(crate) const NAME: &str = "interop";
/// What the suite runs beside the proxy.
const PROGRAMS: [Program; 9] = [
    ("i2pd", "i2pd"),
    ("curl", "curl"),
    ("torsocks", "torsocks"),
    ("proxychains4", "proxychains4"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("systemd-analyze", "systemd"),
];

/// How long tunnels may take. i2pd looks every 20 s whether a session's tunnels are there; 40 s were seen.
const TUNNELS: Duration = Duration::from_secs(120);
/// How long a published lease set may take to be found once the tunnels are there; 10 s were seen.
const LEASE_SET: Duration = Duration::from_secs(40);

/// Outside: everything that needs the machine, then the rest of the suite in a namespace.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    programs::provide(&[&PROGRAMS[..], &outproxies::PROGRAMS, &peers::PROGRAMS].concat(), workspace)?;
    workspace.build_proxy()?;
    namespace::run_inside_in_spite_of_crashes(workspace, NAME, &[], NETWORK)
}

/// Inside: the network and the checks.
pub(crate) fn inside(workspace: &Workspace) -> Result<()> {
    in_lab(workspace, NAME, async |lab| suite(workspace, lab).await)
}

/// Does `work` inside the namespace, in a directory for the network that stays when it fails.
pub(crate) fn in_lab(
    workspace: &Workspace,
    chore: &str,
    work: impl AsyncFnOnce(&Path) -> Result<()>,
) -> Result<()> {
    ensure!(namespace::is_inside(), "{INSIDE} is what the suite says to itself; run cargo xtask {chore}");
    let parent = workspace.target().join(chore);
    std::fs::create_dir_all(&parent).with_context(|| format!("could not make {}", parent.display()))?;
    let lab =
        tempfile::Builder::new().prefix("lab-").tempdir_in(&parent).context("no directory for the lab")?;
    let outcome = Runtime::new().context("no runtime")?.block_on(async {
        tokio::select! {
            result = work(lab.path()) => Some(result),
            () = namespace::outside_is_gone() => None,
        }
    });
    let result = outcome.context("interrupted")?;
    if result.is_err() {
        eprintln!("logs of the routers and of the proxy: {}", lab.keep().display());
    }
    result
}

/// Forms the network, starts the proxies, runs the checks, prints how many of them passed.
async fn suite(workspace: &Workspace, lab: &Path) -> Result<()> {
    let further = peers::routers();
    namespace::set_up(&[i2pd::addresses(further.len().try_into()?), outproxies::addresses()].concat())?;
    namespace::route_everything()?;
    let mut programs = Programs::start(lab).await?;
    let beside = peers::Beside::new()?;
    let formed =
        formation::formed("the network", lab, async |lab| form(lab, &further, &programs, &beside).await);
    let Formed { mut network, site, exits, far } = formed.await?;
    let peers =
        beside.begin(workspace.proxy(), lab.to_owned(), network.take_further(), far, site.b32.clone());
    let configuration = proxy::configuration(&site, 1) + &exits.configuration();
    let (program, bridge) = (workspace.proxy(), network.client_bridge().clone());
    let starting = Proxy::start(&program, lab, &bridge, proxy::ADDRESS, &configuration);
    let mut proxy = in_spite_of_crashes(&mut network, starting).await?;
    let mut report = Report::default();
    let curl = Curl::new(lab)?;
    status_page::run(&mut report, workspace, lab, &curl).await;
    proxy_pac::run(&mut report, workspace, lab, &site).await;
    checks::run(&mut report, &curl, &mut network, &site, &mut programs, &mut proxy).await;
    report.add(&peers.await.context("the checks of the peers broke off")?);
    if !report.all_passed() {
        eprintln!("\nthe proxy's log:\n{}", proxy.log());
    }
    println!("\n{report}");
    ensure!(report.all_passed(), "not every check passed");
    Ok(())
}

/// What has to be there before a proxy of ours is started.
struct Formed {
    network: Network,
    site: Site,
    exits: Exits,
    far: Far,
}

/// Starts the routers and waits until each service is found from another router.
async fn form(
    lab: &Path,
    further: &[Settings],
    programs: &Programs,
    beside: &peers::Beside,
) -> Result<Formed> {
    let network = Network::start(lab, further).await?;
    let (site, exits, far) =
        tokio::try_join!(publish(&network), programs.publish(&network), beside.open(network.further()))?;
    Ok(Formed { network, site, exits, far })
}

/// Waits for a proxy to be ready. i2pd 2.45 crashes now and then while it builds several sessions at once, as ours asks it to: it
/// is started again then, which the proxy is to get over.
async fn in_spite_of_crashes(
    network: &mut Network,
    starting: impl Future<Output = Result<Proxy>>,
) -> Result<Proxy> {
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return started,
            ended = network.client_router_ends() => {
                println!("     the proxy's router has ended by itself ({}), and is started again", ended?);
                network.restart_client_router().await?;
            }
        }
    }
}

/// Opens the web site and waits until a client on another router has fetched its page.
///
/// The client is not the proxy: what it finds is the network's doing, so that what the checks find is the proxy's.
///
/// i2pd 2.45 tries to publish a lease set when an inbound tunnel is built, and gives up when there is no outbound one
/// yet ("Can't publish LeaseSet. Destination is not ready"). Both are built at the same time, and no later attempt
/// was seen within two minutes: with two tunnels each way 8 of 16 sessions were published, with four 15 of 16. So
/// the site has four, and where that is not enough the next key is tried: a session with the same key would be the
/// same destination to i2pd, which keeps it.
pub(crate) async fn publish(network: &Network) -> Result<Site> {
    publish_with(network, network.site_keys()).await
}

/// The same with these keys, tried in turn.
async fn publish_with(network: &Network, keys: &[SiteKey]) -> Result<Site> {
    let options = SessionOptions::default().length(1).quantity(4);
    let mut client = None;
    let mut why = None;
    for key in keys {
        let published = options.clone().publish(true).private_key(key.private.clone());
        let (session, fetcher) =
            tokio::try_join!(open_session(network.site_bridge(), "the site's tunnels", &published), async {
                match client.take() {
                    Some(session) => Ok(session),
                    None => open_session(network.client_bridge(), "a client's tunnels", &options).await,
                }
            })?;
        let site = Site::serve(session, key);
        match until("the site is found", LEASE_SET, async || fetch(&fetcher, key).await).await {
            Ok(()) => return Ok(site),
            Err(error) => {
                println!("  {error:#}; again with another key");
                why = Some(error);
            }
        }
        client = Some(fetcher);
    }
    Err(why.context("there are no keys for the site")?)
}

async fn open_session(bridge: &Bridge, what: &str, options: &SessionOptions) -> Result<Session> {
    until(what, TUNNELS, async || Ok(Attempt::of(bridge.create_session(options).await))).await
}

/// Fetches the page by the site's host name: i2pd says that a stream is connected before it is.
async fn fetch(client: &Session, key: &SiteKey) -> Result<Attempt<()>> {
    let name = I2pName::parse(&key.host).context("the site's name is no name")?;
    let stream = match client.connect(&name, 80).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Attempt::NotYet(error.to_string())),
    };
    Ok(Attempt::of(site::get_page(stream).await))
}
