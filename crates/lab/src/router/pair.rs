//! The smallest network: one router for clients, and one for the services that they reach, which is also the floodfill.
//!
//! Its tunnels have no hops, so that two routers are enough. With Debian's 2.45.1 a service is reached after 8 or 12 s. One router
//! alone has nowhere to publish.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{Router, Settings, Tunnels, introduce_all, start_all};
use crate::wait::{Attempt, until};

/// How long it may take until the services have keys.
const KEYS_TIMEOUT: Duration = Duration::from_secs(90);
/// The file of these keys, in the directory of their router.
const KEYS: &str = "far.keys";

/// Starts a router with the ports that `client` asks for, and one with a destination that leads to these ports of this machine. The
/// first one's address book has the destination under the name `host`. Returns the routers in this order.
pub async fn start(directory: &Path, client: &Settings, host: &str, ports: &[u16]) -> Result<Vec<Router>> {
    let services = Settings { floodfill: true, tunnels: tunnels(ports), ..Settings::default() };
    let mut routers = vec![Router::new(directory, 0, client)?, Router::new(directory, 1, &services)?];
    start_all(&mut routers, "i2pd routers have keys").await?;
    let services = routers.last().context("no routers")?;
    let destination = until("the services have keys", KEYS_TIMEOUT, async || {
        Ok(Attempt::of(services.tunnel_destination(KEYS)))
    })
    .await?;
    introduce_all(&mut routers).await?;
    routers.first().context("no routers")?.add_to_address_book(&[(host, &destination)])?;
    start_all(&mut routers, "i2pd routers answer").await?;
    Ok(routers)
}

/// Server tunnels of one destination. Each leads from a port of the destination to the same port of this machine. Without
/// `inport`, i2pd would ignore all but the first one.
fn tunnels(ports: &[u16]) -> String {
    let tunnel = |port| {
        format!(
            "[far-{port}]\ntype = server\nhost = 127.0.0.1\nport = {port}\ninport = {port}\nkeys = {KEYS}\n{}",
            Tunnels::NO_HOPS.options()
        )
    };
    ports.iter().map(tunnel).collect()
}
