//! A SOCKS server under test.

use std::{net::SocketAddr, sync::Arc};

use conformance_table::mark::NotApplicable;

use super::{client::Client, services::Services};

/// A running SOCKS server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its version.
    pub(crate) version: String,
    /// The services that it can connect to, or why it reaches none.
    pub(crate) target: Result<Target, String>,
    /// What its names and addresses belong to.
    pub(crate) reach: Reach,
    /// What it does not support.
    pub(crate) limitations: Limitations,
    /// Where it requires [`USER`] and [`PASSWORD`].
    pub(crate) with_password: Feature,
    /// Where it serves metrics over HTTP.
    pub(crate) metrics: Feature,
    /// Where it supports BIND and UDP ASSOCIATE, if it does.
    pub(crate) peer_to_peer: SocketAddr,
    /// Its I2P router, if it needs one.
    pub(crate) router: Option<Box<dyn Switch>>,
    /// The router of the target, if it is another one.
    pub(crate) far_router: Option<Box<dyn Switch>>,
    /// The lines of text that it has sent on behalf of clients, if it uses a protocol of lines.
    pub(crate) lines: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// The user of servers that require a password, and the password.
pub(crate) const USER: &[u8] = b"anna";
pub(crate) const PASSWORD: &[u8] = b"secret";

/// What a server offers at an address of its own, because not every client wants it.
pub(crate) enum Feature {
    At(SocketAddr),
    /// It does not offer that, which was looked up in its options.
    Missing(&'static str),
    /// Why the suite does not test it.
    NotTested(&'static str),
}

impl Feature {
    /// Its address. Ends a row if there is none.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        match self {
            Self::At(address) => Ok(*address),
            Self::Missing(what) => Err(anyhow::anyhow!(*what)),
            Self::NotTested(reason) => Err(NotApplicable::because(*reason)),
        }
    }
}

/// A router that rows switch off and on.
pub(crate) trait Switch: Send + Sync {
    fn off(&self) -> anyhow::Result<()>;
    fn on(&self) -> anyhow::Result<()>;
}

/// Why rows cannot test a server: a reason for each thing that it does not support.
#[derive(Default)]
pub(crate) struct Limitations {
    /// SOCKS4.
    pub(crate) socks4: Option<&'static str>,
    /// SOCKS4a.
    pub(crate) socks4a: Option<&'static str>,
    /// A reply that depends on whether the target accepts the connection.
    pub(crate) target_reply: Option<&'static str>,
    /// A half-close by the client that reaches the target.
    pub(crate) client_fin: Option<&'static str>,
}

/// What the names and addresses of a server belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The internet: the services are also at the address 127.0.0.1.
    Tcp,
    /// I2P: no address is reachable.
    I2p,
}

/// What a server is asked to connect to.
#[derive(Clone)]
pub(crate) struct Target {
    /// The name of the services.
    pub(crate) host: &'static str,
    /// A name of the same kind that does not exist.
    pub(crate) unknown_host: &'static str,
    /// The services.
    pub(crate) services: Arc<Services>,
}

impl Server {
    /// Connects to the server and sends nothing.
    pub(crate) fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(self.address)
    }

    /// Connects to the server and agrees on no authentication.
    pub(crate) fn greeted(&self) -> anyhow::Result<Client> {
        Client::greeted(self.address)
    }

    /// Connects through the server to the service at this port.
    pub(crate) fn connected(&self, target: &Target, port: u16) -> anyhow::Result<Client> {
        Client::connected(self.address, target.host, port)
    }

    /// The services. The row does not apply to a server that reaches none.
    pub(crate) fn target(&self) -> anyhow::Result<&Target> {
        self.target.as_ref().map_err(|reason| NotApplicable::because(reason.as_str()))
    }

    /// Ends a row if the server is not a way into I2P.
    pub(crate) fn skip_outside_i2p(&self) -> anyhow::Result<()> {
        match self.reach {
            Reach::I2p => Ok(()),
            Reach::Tcp => Err(NotApplicable::because("does not connect to I2P")),
        }
    }

    /// Ends a row if the server has this limitation, one of [`Limitations`].
    pub(crate) fn skip_if(&self, limitation: Option<&'static str>) -> anyhow::Result<()> {
        limitation.map_or(Ok(()), |reason| Err(NotApplicable::because(reason)))
    }

    /// Ends a row if the server accepts no credentials. It may be configured without them.
    pub(crate) fn skip_without_credentials(&self) -> anyhow::Result<()> {
        let mut client = self.connect()?;
        client.send(&[5, 1, 2])?;
        match client.receive(2)?.as_slice() {
            [5, 2] => Ok(()),
            _ => Err(NotApplicable::because("accepts no credentials as it is configured here")),
        }
    }
}
