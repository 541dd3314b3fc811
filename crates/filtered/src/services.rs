//! The services in I2P: each is a destination that leads, by way of a recorder, to a server of this machine.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use i2p_name::I2pName;
use i2p_sam::{Session, SessionOptions};
use lab::{
    formation,
    router::{
        Router, Settings,
        pair::{self, Service},
    },
    sessions::{LEASE_SET_PATIENCE, open_session},
    wait::{Attempt, until_with},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

/// How far the port of each server is from that of its recorder.
pub(crate) const OFFSET: u16 = 10_000;

/// A service.
pub(crate) struct Known {
    /// Its name in I2P.
    pub(crate) host: &'static str,
    /// The port of its recorder on this machine. i2pd's SAM bridge sends no port, so each port of the destination leads there.
    pub(crate) port: u16,
    /// What the server answers, if it does not speak first.
    hello: &'static str,
}

/// Where the programs find the servers.
pub(crate) const SERVICES: [Known; 7] = [
    Known { host: "irc.i2p", port: 6667, hello: "PING :there\r\n" },
    Known { host: "irc3.i2p", port: 6668, hello: "PING :there\r\n" },
    Known { host: "smtp.i2p", port: 587, hello: "" },
    Known { host: "imap.i2p", port: 143, hello: "" },
    Known { host: "pop.i2p", port: 110, hello: "" },
    Known { host: "ftp.i2p", port: 21, hello: "" },
    Known {
        host: "chat.i2p",
        port: 5222,
        hello: "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='chat.i2p' version='1.0'>",
    },
];

/// Forms a network of i2pd routers in which all services are reached. The first router is that of the proxy.
pub(crate) async fn publish(lab: &Path) -> Result<Vec<Router>> {
    formation::form("the network", lab, async |directory| {
        let ports = SERVICES.each_ref().map(|service| [service.port]);
        let services: Vec<_> = SERVICES
            .iter()
            .zip(&ports)
            .map(|(service, ports)| Service { host: service.host, ports })
            .collect();
        let routers = pair::start(directory, &Settings::default(), &services).await?;
        let router = routers.first().context("no routers")?;
        let options = SessionOptions::default().length(0).quantity(1);
        let client = open_session(router.bridge(), "a client's tunnels", &options).await?;
        for service in &SERVICES {
            let what = format!("{} is reached", service.host);
            until_with(&what, LEASE_SET_PATIENCE, async || Ok(Attempt::of(reach(&client, service).await)))
                .await?;
        }
        Ok(routers)
    })
    .await
}

/// Only an answer shows that a stream works: i2pd reports it as connected before it is.
async fn reach(client: &Session, Known { host, port, hello }: &Known) -> Result<()> {
    let mut stream = client.connect(&I2pName::parse(host)?, *port).await?;
    stream.write_all(hello.as_bytes()).await?;
    ensure!(stream.read(&mut [0; 64]).await? > 0, "the server says nothing");
    // The server may still write. What arrives at an end that is gone is answered with a reset.
    sleep(Duration::from_millis(200)).await;
    Ok(())
}
