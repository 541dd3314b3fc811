//! The smallest network: one router for clients, and one for the services that they reach, which is also the floodfill.
//!
//! Its tunnels have no hops, so that two routers are enough. With Debian's 2.45.1 a service is reached after 8 or 12 s. One router
//! alone has nowhere to publish.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use i2p_name::I2pName;
use i2p_sam::{Session, SessionOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{Router, Settings, Tunnels, introduce_all, start_all};
use crate::{
    formation,
    sessions::{LEASE_SET_PATIENCE, open_session},
    wait::{Attempt, until, until_with},
};

/// How long it may take until the services have keys.
const KEYS_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a service may still write to a client that has heard it.
const FAREWELL_TIME: Duration = Duration::from_millis(200);

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

/// Forms such a network for clients of the SAM bridge. If it does not come up, forms it once more. Returns once each service was
/// reached. Beside each service is the text that it answers; the text is empty if the service speaks first.
pub async fn form(lab: &Path, services: &[(Service<'_>, &str)]) -> Result<Vec<Router>> {
    let alone: Vec<_> = services.iter().map(|(service, _)| *service).collect();
    formation::form("the network", lab, async |directory| {
        let routers = start(directory, &Settings::default(), &alone).await?;
        let bridge = routers.first().context("no routers")?.bridge();
        let options = SessionOptions::default().length(0).quantity(1);
        let client = open_session(bridge, "a client's tunnels", &options).await?;
        for (service, hello) in services {
            let what = format!("{} is reached", service.host);
            until_with(&what, LEASE_SET_PATIENCE, async || {
                Ok(Attempt::of(reach(&client, service, hello).await))
            })
            .await?;
        }
        Ok(routers)
    })
    .await
}

/// Only an answer shows that a stream works: i2pd reports it as connected before it is.
async fn reach(client: &Session, service: &Service<'_>, hello: &str) -> Result<()> {
    let port = service.ports.first().context("the service has no port")?;
    let mut stream = client.connect(&I2pName::parse(service.host)?, *port).await?;
    stream.write_all(hello.as_bytes()).await?;
    ensure!(stream.read(&mut [0; 64]).await? > 0, "the server says nothing");
    // What it writes to an end that is gone would be answered with a reset.
    sleep(FAREWELL_TIME).await;
    Ok(())
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
