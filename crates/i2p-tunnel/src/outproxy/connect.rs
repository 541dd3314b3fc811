//! Opening a stream through an outproxy.

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
    fault::{OutproxyFailure, OutproxyFault},
    health::{Ejection, Health},
    tokens::{self, IsolationTokens},
    tracked_socket::TrackedSocket,
};
use crate::{
    client::IsolationKey,
    dial::Dial,
    route::OutsideHost,
    stream::{ClientFin, OpenStream, Socket},
};

/// An outproxy and its state.
pub(crate) struct Outproxy {
    pub(super) definition: OutproxyDefinition,
    pub(super) health: Health,
    pub(super) tokens: IsolationTokens,
    /// Whether the log has a warning that this outproxy provides no relay for datagrams.
    pub(super) warned_no_relay: AtomicBool,
}

/// A request to an outproxy.
pub(crate) struct OutproxyRequest<'a, D> {
    pub(crate) host: OutsideHost<'a>,
    pub(crate) port: u16,
    /// Isolates the request from others.
    pub(crate) key: &'a IsolationKey,
    /// The dialler for outproxies in I2P.
    pub(crate) dialler: &'a D,
}

impl Outproxy {
    pub(super) fn new(definition: OutproxyDefinition) -> Self {
        let health = Health::new(Arc::clone(&definition.name));
        Self { definition, health, tokens: IsolationTokens::new(), warned_no_relay: AtomicBool::default() }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.definition.name
    }

    /// Whether it is reached through our router.
    pub(crate) fn is_in_i2p(&self) -> bool {
        matches!(self.definition.at, OutproxyAt::I2p(..))
    }

    /// Opens a stream through the outproxy. `limit` covers reaching the outproxy and its answer. Waiting for our own I2P session
    /// can take minutes and is not the outproxy's fault, so it has the limits of sessions instead.
    pub(crate) async fn connect<D: Dial>(
        &self,
        request: &OutproxyRequest<'_, D>,
        limit: Duration,
    ) -> Result<OpenStream, OutproxyFailure> {
        self.health.record_attempt();
        let outcome = self.try_connect(request, limit).await;
        let name = self.name();
        if let Err(fault) = &outcome {
            tracing::debug!(outproxy = %name, ?fault, "an outproxy did not connect");
        }
        if let (Some(Ejection { duration }), Err(OutproxyFailure::Outproxy(fault))) =
            (self.health.record(&outcome), &outcome)
        {
            tracing::warn!(
                outproxy = %name,
                "outproxy {name} failed several times in a row: {}. It is skipped for {} s, unless all outproxies are",
                fault.text(),
                duration.as_secs()
            );
        }
        outcome
    }

    async fn try_connect<D: Dial>(
        &self,
        request: &OutproxyRequest<'_, D>,
        limit: Duration,
    ) -> Result<OpenStream, OutproxyFailure> {
        if self.is_in_i2p() {
            request.dialler.prepare(request.key).await.map_err(OutproxyFailure::Router)?;
        }
        let token = self.token(request.key).await?;
        let credentials = self.credentials(token.as_deref());
        let deadline = Instant::now() + limit;
        let silent = OutproxyFailure::Outproxy(OutproxyFault::TimedOut);
        let mut opened = timeout_at(deadline, self.reach(request)).await.unwrap_or(Err(silent))?;
        let mut socket = TrackedSocket::new(&mut opened.socket);
        let target = (request.host, request.port);
        let protocol = self.definition.protocol;
        match timeout_at(deadline, protocol.connect(&mut socket, target, credentials)).await {
            Ok(answer) => opened.first_data = answer?,
            // It has answered, so it works; the target may be slow.
            Err(_) if protocol.replies_before_connecting() && socket.has_received() => {
                return Err(OutproxyFailure::Declined);
            }
            Err(_) => return Err(silent),
        }
        Ok(opened)
    }

    /// The username and password to send.
    pub(super) fn credentials<'a>(&'a self, token: Option<&'a str>) -> Option<(&'a str, &'a str)> {
        match (&self.definition.credentials, token) {
            (Some(ours), _) => Some((ours.username.as_str(), ours.password.as_str())),
            (None, Some(token)) => Some((tokens::USERNAME, token)),
            (None, None) => None,
        }
    }

    /// The credentials that isolate this key where I2P sessions do not.
    pub(super) async fn token(&self, key: &IsolationKey) -> Result<Option<Arc<str>>, OutproxyFailure> {
        let OutproxyDefinition { protocol, credentials, pass_isolation, .. } = &self.definition;
        let passes = *pass_isolation && protocol.passes_isolation() && credentials.is_none();
        match passes && !self.is_in_i2p() {
            true => self.tokens.token_of(key).await.map(Some).map_err(OutproxyFailure::Router),
            false => Ok(None),
        }
    }

    /// Opens a stream to the outproxy itself.
    async fn reach<D: Dial>(&self, request: &OutproxyRequest<'_, D>) -> Result<OpenStream, OutproxyFailure> {
        match &self.definition.at {
            OutproxyAt::I2p(name, port) => request
                .dialler
                .dial(request.key, name, *port)
                .await
                .map_err(OutproxyFailure::reaching_outproxy),
            // These are addresses, so no name is looked up.
            OutproxyAt::Tcp(addresses) => {
                open_local(TcpStream::connect(addresses.as_slice()).await.map(Socket::from))
            }
            #[cfg(unix)]
            OutproxyAt::Unix(path) => open_local(UnixStream::connect(path).await.map(Socket::from)),
            #[cfg(not(unix))]
            OutproxyAt::Unix(_) => Err(OutproxyFailure::Outproxy(OutproxyFault::Unreachable)),
        }
    }
}

/// Makes a stream to a program outside I2P. It can end in one direction and go on in the other.
fn open_local(socket: io::Result<Socket>) -> Result<OpenStream, OutproxyFailure> {
    // The end of the answer and the first data are two small writes.
    let socket = socket.and_then(|socket| socket.set_nodelay().map(|()| socket));
    let socket = socket.map_err(|_| OutproxyFailure::Outproxy(OutproxyFault::Unreachable))?;
    Ok(OpenStream { socket, first_data: Vec::new(), client_fin: ClientFin::Forwarded, hold: None })
}
