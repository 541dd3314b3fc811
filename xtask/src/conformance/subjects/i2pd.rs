//! i2pd's own SOCKS proxy, on a private network of two routers.
//!
//! Tunnels have no hops, so that two routers are enough: one with the proxy, one with the far end, which also keeps the
//! network database. With Debian's 2.45.1 the far end is reached after 8 or 12 s; one router alone publishes to nobody.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use super::{
    Kind, Running, Setup,
    ours::{HOST, UNKNOWN},
};
use crate::{
    conformance::{
        client::Client,
        services::free_port,
        subject::{Far, Lacks, Reach, Subject},
    },
    lab::{
        formation,
        router::{NO_HOPS, Router, Settings, introduce_all, start_all},
        wait::{Attempt, until},
    },
    programs,
};

/// Routers, and so addresses, of this network.
pub(crate) const ROUTERS: u16 = 2;
/// How long the far end may take to be found.
const NETWORK: Duration = Duration::from_secs(90);
/// The far end's keys, below its router's directory.
const KEYS: &str = "far.keys";
/// Why nobody can tell it how the far end takes a connection.
const TAKES_FIRST: &str = "the far end is a server tunnel of i2pd, which takes every stream before it dials";

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let services = Arc::clone(&setup.services);
    let far = Far { host: HOST, unknown: UNKNOWN, services };
    let mut running = None;
    let formed = formation::formed("the network of i2pd", &setup.lab, async |lab| {
        running = None;
        let (address, _) = running.insert(start_routers(lab, &far.services.ports()).await?);
        is_reached(*address, far.services.echo).await
    });
    let formed = formed.await;
    let Some((address, routers)) = running else { return Err(formed.err().context("no routers")?) };
    let subject = Subject {
        address,
        version: programs::package_version(Kind::I2pd.program().context("no package")?),
        far: formed
            .map(|()| far)
            .map_err(|error| format!("not run: needs a network, and there is none ({error:#})")),
        reach: Reach::I2p,
        lacks: Lacks { verdict: Some(TAKES_FIRST), ..Lacks::default() },
        lines: Box::new(Vec::new),
    };
    Ok(Running { subject, _processes: Vec::new(), _routers: routers })
}

/// Starts a router with a SOCKS port, and one behind which the far end has these ports. Gives the address of the SOCKS port.
async fn start_routers(lab: &Path, ports: &[u16]) -> Result<(SocketAddr, Vec<Router>)> {
    let port = free_port()?;
    let client = Settings { socks_port: Some(port), ..Settings::default() };
    let far = Settings { floodfill: true, tunnels: tunnels(ports), ..Settings::default() };
    let mut routers = vec![Router::new(lab, 0, &client)?, Router::new(lab, 1, &far)?];
    start_all(&mut routers, "i2pd routers have keys").await?;
    let far = routers.last().context("no routers")?;
    let destination =
        until("the far end has keys", NETWORK, async || Ok(Attempt::of(far.destination_of(KEYS)))).await?;
    introduce_all(&mut routers).await?;
    routers.first().context("no routers")?.add_to_address_book(&[(HOST, &destination)])?;
    start_all(&mut routers, "i2pd routers answer").await?;
    Ok((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), routers))
}

/// Server tunnels of one destination: its port leads to the same port of this machine. Without `inport`, all but the first
/// would be ignored.
fn tunnels(ports: &[u16]) -> String {
    let tunnel = |port| {
        format!(
            "[far-{port}]\ntype = server\nhost = 127.0.0.1\nport = {port}\ninport = {port}\nkeys = {KEYS}\n{NO_HOPS}"
        )
    };
    ports.iter().map(tunnel).collect()
}

/// Waits until the far end answers through the proxy.
async fn is_reached(proxy: SocketAddr, echo: u16) -> Result<()> {
    until("i2pd reaches the far end", NETWORK, async || {
        let attempt = spawn_blocking(move || Client::connected(proxy, HOST, echo)?.is_echoed());
        Ok(Attempt::of(attempt.await?))
    })
    .await
}
