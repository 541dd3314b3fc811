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

/// A destination that leads to this machine.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Its name in the address book of the client's router.
    pub host: &'a str,
    /// Its ports, which lead to the same ports of this machine. i2pd's SAM bridge does not send the port that a client wants: its
    /// streams reach the first one.
    pub ports: &'a [u16],
}

/// Starts a router with the ports that `client` asks for, and one with these services, which the address book of the first one
/// knows. Returns the routers in this order.
pub async fn start(directory: &Path, client: &Settings, services: &[Service<'_>]) -> Result<Vec<Router>> {
    let server = Settings {
        floodfill: true,
        tunnels: services.iter().map(Service::tunnels).collect(),
        ..Settings::default()
    };
    let mut routers = vec![Router::new(directory, 0, client)?, Router::new(directory, 1, &server)?];
    start_all(&mut routers, "i2pd routers have keys").await?;
    let server = routers.last().context("no routers")?;
    let destinations = until("the services have keys", KEYS_TIMEOUT, async || {
        let found: Result<Vec<_>> =
            services.iter().map(|service| server.tunnel_destination(&service.keys())).collect();
        Ok(Attempt::of(found))
    })
    .await?;
    introduce_all(&mut routers).await?;
    let names: Vec<_> = services.iter().map(|service| service.host).zip(&destinations).collect();
    routers.first().context("no routers")?.add_to_address_book(&names)?;
    start_all(&mut routers, "i2pd routers answer").await?;
    Ok(routers)
}

impl Service<'_> {
    /// The file of its keys, in the directory of its router.
    fn keys(&self) -> String {
        format!("{}.keys", self.host)
    }

    /// A server tunnel for each port. Without `inport`, i2pd would ignore all but the first one.
    fn tunnels(&self) -> String {
        let (host, keys) = (self.host, self.keys());
        let tunnel = |port| {
            format!(
                "[{host}-{port}]\ntype = server\nhost = 127.0.0.1\nport = {port}\ninport = {port}\nkeys = {keys}\n{}",
                Tunnels::NO_HOPS.options()
            )
        };
        self.ports.iter().map(tunnel).collect()
    }
}
