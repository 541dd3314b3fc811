//! Connecting through an outproxy.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    definition::{OutproxyAt, OutproxyDefinition},
    fault::{Fault, OutproxyTrouble},
    health::{Ejected, Health},
    line::Line,
    tokens::{self, Tokens},
};
use crate::{
    client::IsolationKey,
    dial::Dial,
    route::OutsideHost,
    stream::{ClientEnd, Opened, Socket},
};

/// One way out, and how it does.
pub(crate) struct Outproxy {
    pub(super) definition: OutproxyDefinition,
    pub(super) health: Health,
    pub(super) tokens: Tokens,
    /// Whether it has been said that it gives no relay for datagrams.
    pub(super) said_no_relay: AtomicBool,
}

/// What an outproxy is asked for.
pub(crate) struct Request<'a, D> {
    pub(crate) host: OutsideHost<'a>,
    pub(crate) port: u16,
    /// What keeps the request apart from others.
    pub(crate) key: &'a IsolationKey,
    /// The way to outproxies in I2P.
    pub(crate) dialler: &'a D,
}

impl Outproxy {
    pub(super) fn new(definition: OutproxyDefinition) -> Self {
        let health = Health::new(Arc::clone(&definition.name));
        Self { definition, health, tokens: Tokens::new(), said_no_relay: AtomicBool::default() }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.definition.name
    }

    /// Whether the way to it leads through our router.
    pub(crate) fn is_in_i2p(&self) -> bool {
        matches!(self.definition.at, OutproxyAt::I2p(..))
    }

    /// Opens a stream through it to what is asked for. `limit` is for reaching the outproxy and for its answer; waiting for our
    /// own session, which can take minutes and is not the outproxy's doing, has the limits of sessions.
    pub(crate) async fn connect<D: Dial>(
        &self,
        request: &Request<'_, D>,
        limit: Duration,
    ) -> Result<Opened, Fault> {
        self.health.attempt();
        let outcome = self.attempt(request, limit).await;
        let name = self.name();
        if let Err(fault) = &outcome {
            tracing::debug!(outproxy = %name, ?fault, "an outproxy did not connect");
        }
        if let (Some(Ejected { lasts }), Err(Fault::Outproxy(trouble))) =
            (self.health.note(&outcome), &outcome)
        {
            tracing::warn!(
                outproxy = %name,
                "outproxy {name} has failed several times in a row: {}. It is left out for {} s, unless all are",
                trouble.text(),
                lasts.as_secs()
            );
        }
        outcome
    }

    async fn attempt<D: Dial>(&self, request: &Request<'_, D>, limit: Duration) -> Result<Opened, Fault> {
        if self.is_in_i2p() {
            request.dialler.prepare(request.key).await.map_err(Fault::Router)?;
        }
        let token = self.token(request.key).await?;
        let credentials = self.credentials(token.as_deref());
        let deadline = Instant::now() + limit;
        let silent = Fault::Outproxy(OutproxyTrouble::TimedOut);
        let mut opened = timeout_at(deadline, self.open(request)).await.unwrap_or(Err(silent))?;
        let mut line = Line::new(&mut opened.socket);
        let target = (request.host, request.port);
        let protocol = self.definition.protocol;
        match timeout_at(deadline, protocol.ask(&mut line, target, credentials)).await {
            Ok(answer) => opened.first_data = answer?,
            // It has spoken, so it is there; what it was asked for may be slow.
            Err(_) if protocol.speaks_before_connecting() && line.heard() => return Err(Fault::Declined),
            Err(_) => return Err(silent),
        }
        Ok(opened)
    }

    /// What it is told of who we are: username and password.
    pub(super) fn credentials<'a>(&'a self, token: Option<&'a str>) -> Option<(&'a str, &'a str)> {
        match (&self.definition.credentials, token) {
            (Some(ours), _) => Some((ours.username.as_str(), ours.password.as_str())),
            (None, Some(token)) => Some((tokens::USERNAME, token)),
            (None, None) => None,
        }
    }

    /// What keeps requests of this key apart from others where sessions do not.
    pub(super) async fn token(&self, key: &IsolationKey) -> Result<Option<Arc<str>>, Fault> {
        let OutproxyDefinition { protocol, credentials, pass_isolation, .. } = &self.definition;
        let passes = *pass_isolation && protocol.passes_isolation() && credentials.is_none();
        match passes && !self.is_in_i2p() {
            true => self.tokens.of(key).await.map(Some).map_err(Fault::Router),
            false => Ok(None),
        }
    }

    /// A stream to the outproxy itself.
    async fn open<D: Dial>(&self, request: &Request<'_, D>) -> Result<Opened, Fault> {
        match &self.definition.at {
            OutproxyAt::I2p(name, port) => {
                request.dialler.dial(request.key, name, *port).await.map_err(Fault::of_way_there)
            }
            // Addresses, so nothing is looked up.
            OutproxyAt::Tcp(addresses) => {
                local(TcpStream::connect(addresses.as_slice()).await.map(Socket::from))
            }
            #[cfg(unix)]
            OutproxyAt::Unix(path) => local(UnixStream::connect(path).await.map(Socket::from)),
            #[cfg(not(unix))]
            OutproxyAt::Unix(_) => Err(Fault::Outproxy(OutproxyTrouble::Unreachable)),
        }
    }
}

/// A stream that can end one way and go on the other.
fn local(socket: io::Result<Socket>) -> Result<Opened, Fault> {
    // The answer's last part and the first data are two small writes.
    let socket = socket.and_then(|socket| socket.send_at_once().map(|()| socket));
    let socket = socket.map_err(|_| Fault::Outproxy(OutproxyTrouble::Unreachable))?;
    Ok(Opened { socket, first_data: Vec::new(), client_end: ClientEnd::PassedOn, hold: None })
}
