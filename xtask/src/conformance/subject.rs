//! What is tested.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{client::Client, services::Services};

/// A SOCKS server that runs.
pub(crate) struct Subject {
    /// Where its clients connect to.
    pub(crate) address: SocketAddr,
    /// What it says of its version.
    pub(crate) version: String,
    /// The far end, or why it cannot be reached.
    pub(crate) far: Result<Far, String>,
    /// Where it can go.
    pub(crate) reach: Reach,
    /// What rows cannot ask of it.
    pub(crate) lacks: Lacks,
    /// The lines of text that it has sent on behalf of clients, where it speaks a protocol of lines.
    pub(crate) lines: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// Why a subject lacks what rows ask for; nothing where it does not.
#[derive(Default)]
pub(crate) struct Lacks {
    /// SOCKS4.
    pub(crate) socks4: Option<&'static str>,
    /// SOCKS4a.
    pub(crate) socks4a: Option<&'static str>,
    /// A far end that says itself whether it takes a connection.
    pub(crate) verdict: Option<&'static str>,
    /// A way to pass on that the client has finished.
    pub(crate) client_end: Option<&'static str>,
}

/// What a proxy's names and addresses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The internet's: the far end has an address too, 127.0.0.1.
    Tcp,
    /// I2P's: an address leads nowhere.
    I2p,
}

/// The far end as a subject knows it.
#[derive(Clone)]
pub(crate) struct Far {
    /// Its name.
    pub(crate) host: &'static str,
    /// A name of the same kind that nobody has.
    pub(crate) unknown: &'static str,
    /// Its servers.
    pub(crate) services: Arc<Services>,
}

/// Why a row says nothing of a subject. Not a failure.
#[derive(Debug)]
pub(crate) struct NotApplicable(pub(crate) String);

impl fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotApplicable {}

impl NotApplicable {
    fn because(reason: impl Into<String>) -> anyhow::Error {
        Self(reason.into()).into()
    }
}

impl Subject {
    /// A connection on which nothing has been said.
    pub(crate) fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(self.address)
    }

    /// A connection that has agreed on no authentication.
    pub(crate) fn greeted(&self) -> anyhow::Result<Client> {
        Client::greeted(self.address)
    }

    /// A connection to one of the far end's ports.
    pub(crate) fn connected(&self, far: &Far, port: u16) -> anyhow::Result<Client> {
        Client::connected(self.address, far.host, port)
    }

    /// The far end, for rows that need it.
    pub(crate) fn far(&self) -> anyhow::Result<&Far> {
        self.far.as_ref().map_err(|reason| NotApplicable::because(reason.as_str()))
    }

    /// Ends a row where there is a reason to: one of [`Lacks`].
    pub(crate) fn needs(&self, reason: Option<&'static str>) -> anyhow::Result<()> {
        reason.map_or(Ok(()), |reason| Err(NotApplicable::because(reason)))
    }

    /// Ends a row where no credentials are taken: a server may be set up without.
    pub(crate) fn takes_credentials(&self) -> anyhow::Result<()> {
        let mut client = self.connect()?;
        client.send(&[5, 1, 2])?;
        match client.receive(2)?.as_slice() {
            [5, 2] => Ok(()),
            _ => Err(NotApplicable::because("takes no credentials as it is set up here")),
        }
    }
}
