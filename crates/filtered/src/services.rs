//! The services in I2P: each is a destination that leads, by way of a recorder, to a server of this machine.

use std::path::Path;

use anyhow::Result;
use lab::router::{
    Router,
    pair::{self, Service},
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
    let ports = SERVICES.each_ref().map(|service| [service.port]);
    let services: Vec<_> = SERVICES
        .iter()
        .zip(&ports)
        .map(|(service, ports)| (Service { host: service.host, ports }, service.hello))
        .collect();
    pair::form(lab, &services).await
}
