//! i2pd's own SOCKS proxy, on a private network of two routers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    slice,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use conformance_table::command::Subject;
use lab::{
    formation,
    ports::free_port,
    router::{
        Router, Settings,
        pair::{self, Service},
        start_all,
    },
    wait::{Attempt, until},
};
use programs::Invocation;
use tokio::{runtime::Handle, sync::Mutex, task::spawn_blocking};

use super::{
    Kind, Running, Setup,
    ours::{HOST, UNKNOWN},
};
use crate::{
    client::Client,
    server::{Feature, Limitations, Reach, Server, Switch, Target},
};

/// The routers of this network.
pub(crate) const ROUTERS: u16 = 2;
/// How long it may take until the target is reached.
const REACH_TIMEOUT: Duration = Duration::from_secs(90);
/// Why its reply does not depend on the target.
const ACCEPTS_FIRST: &str =
    "the target is behind a server tunnel of i2pd, which accepts every stream before it dials";

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let services = Arc::clone(&setup.services);
    let target = Target { host: HOST, unknown_host: UNKNOWN, services };
    let mut running = None;
    let formed = formation::form("the network of i2pd", &setup.lab, async |directory| {
        running = None;
        let port = free_port()?;
        let client = Settings { socks_port: Some(port), ..Settings::default() };
        let services = [Service { host: HOST, ports: &target.services.ports() }];
        let routers = pair::start(directory, &client, &services).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        running = Some((address, routers));
        wait_until_reached(address, target.services.echo).await
    });
    let formed = formed.await;
    let Some((address, routers)) = running else { return Err(formed.err().context("no routers")?) };
    let routers = Arc::new(Mutex::new(routers));
    let program = Kind::I2pd.program().context("no package")?;
    let options = Invocation::new(program.0, &setup.lab).arg("--help").output()?;
    let server = Server {
        address,
        version: programs::package_version(program),
        target: formed
            .map(|()| target)
            .map_err(|error| format!("not run: needs a network, and there is none ({error:#})")),
        reach: Reach::I2p,
        limitations: Limitations { target_reply: Some(ACCEPTS_FIRST), ..Limitations::default() },
        with_password: missing(&options, |option| {
            option.contains("socksproxy.")
                && ["pass", "user", "auth"].iter().any(|word| option.contains(word))
        })?,
        metrics: missing(&options, |option| option.contains("metrics") || option.contains("prometheus"))?,
        peer_to_peer: address,
        router: Some(Box::new(Kill(RouterOf::new(&routers, 0)))),
        far_router: Some(Box::new(Hang(RouterOf::new(&routers, 1)))),
        lines: Box::new(Vec::new),
    };
    // The server owns the routers.
    Ok(Running { server, processes: Vec::new() })
}

/// Looks for an option in the help of i2pd. If a version has one, the suite has to test what it does.
fn missing(help: &str, is_option: impl Fn(&str) -> bool) -> Result<Feature> {
    match help.lines().map(str::trim_start).filter(|line| line.starts_with("--")).find(|line| is_option(line))
    {
        None => Ok(Feature::Missing("has no option for that")),
        Some(option) => bail!("i2pd has an option that the suite does not know: {option}"),
    }
}

/// One of the routers.
struct RouterOf {
    routers: Arc<Mutex<Vec<Router>>>,
    index: usize,
    runtime: Handle,
}

impl RouterOf {
    fn new(routers: &Arc<Mutex<Vec<Router>>>, index: usize) -> Self {
        Self { routers: Arc::clone(routers), index, runtime: Handle::current() }
    }

    fn with(&self, action: impl AsyncFnOnce(&mut Router) -> Result<()>) -> Result<()> {
        self.runtime.block_on(async {
            action(self.routers.lock().await.get_mut(self.index).context("no such router")?).await
        })
    }
}

/// Ends the router, as a crash would, and starts it again.
struct Kill(RouterOf);

impl Switch for Kill {
    fn off(&self) -> Result<()> {
        self.0.with(Router::kill)
    }

    fn on(&self) -> Result<()> {
        self.0.with(async |router| start_all(slice::from_mut(router), "i2pd answers again").await)
    }
}

/// Stops the router, so that it does not answer, and lets it continue.
struct Hang(RouterOf);

impl Switch for Hang {
    fn off(&self) -> Result<()> {
        self.0.with(async |router| router.hang().await)
    }

    fn on(&self) -> Result<()> {
        self.0.with(async |router| router.resume().await)
    }
}

/// Waits until the echo service responds through the proxy.
pub(super) async fn wait_until_reached(proxy: SocketAddr, echo: u16) -> Result<()> {
    until("the proxy reaches the target", REACH_TIMEOUT, async || {
        let attempt = spawn_blocking(move || Client::connected(proxy, HOST, echo)?.expect_echo());
        Ok(Attempt::of(attempt.await?))
    })
    .await
}
