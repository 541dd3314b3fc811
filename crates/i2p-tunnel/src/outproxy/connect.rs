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
    health::Health,
    tokens::{self, IsolationTokens},
    tracked_socket::TrackedSocket,
};
use crate::{
    client::IsolationKey,
    dial::{Dial, SessionMark},
    log_throttle::LogThrottle,
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
    /// Warns that this outproxy failed several requests of one client.
    failed_one_client: LogThrottle<OutproxyFault>,
}

/// A request to an outproxy.
pub(crate) struct OutproxyRequest<'a, D> {
    pub(crate) host: OutsideHost<'a>,
    pub(crate) port: u16,
    /// Isolates the request from others.
    pub(crate) key: &'a IsolationKey,
    /// The dialler for outproxies in I2P.
    pub(crate) dialler: &'a D,
    /// The session by which this identity has reached an outproxy before. If it is the one of this request, it is not at fault.
    pub(crate) proven_session: Option<SessionMark>,
}

impl<D: Dial> OutproxyRequest<'_, D> {
    /// Whether its session has reached an outproxy before. A session that was lost meanwhile has not.
    fn is_session_proven(&self) -> bool {
        self.proven_session.is_some() && self.proven_session == self.dialler.session_now(self.key)
    }
}

impl Outproxy {
    pub(super) fn new(definition: OutproxyDefinition) -> Self {
        let health = Health::new(Arc::clone(&definition.name));
        let tokens = IsolationTokens::new();
        let (warned_no_relay, failed_one_client) = Default::default();
        Self { definition, health, tokens, warned_no_relay, failed_one_client }
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
        if let (Some(duration), Err(OutproxyFailure::Outproxy(fault))) =
            (self.health.record(request.key.origin(), &outcome), &outcome)
        {
            let (why, seconds) = (fault.text(), duration.as_secs());
            tracing::warn!(
                outproxy = %name,
                "outproxy {name} failed several clients: {why}. All skip it for {seconds} s, unless all outproxies are skipped"
            );
        }
        outcome
    }

    /// Warns that it failed several requests of one client, since the operator may be able to mend that.
    pub(super) fn warn_for_one_client(&self, fault: OutproxyFault) {
        let (name, why) = (self.name(), fault.text());
        self.failed_one_client.warn(
            fault,
            format_args!(
                "outproxy {name} failed several requests of a client in a row: {why}. For a while, this client prefers other \
                 outproxies"
            ),
        );
    }

    async fn try_connect<D: Dial>(
        &self,
        request: &OutproxyRequest<'_, D>,
        limit: Duration,
    ) -> Result<OpenStream, OutproxyFailure> {
        if self.is_in_i2p() {
            request.dialler.prepare(request.key).await.map_err(OutproxyFailure::Router)?;
        }
        let token = self.token(request.key)?;
        let credentials = self.credentials(token.as_deref());
        let deadline = Instant::now() + limit;
        let silent = OutproxyFailure::Outproxy(OutproxyFault::TimedOut);
        let reached = timeout_at(deadline, self.reach(request)).await.unwrap_or(Err(silent));
        let mut opened =
            reached.map_err(|failure| match self.is_in_i2p() && !request.is_session_proven() {
                true => failure.on_unproven_session(),
                false => failure,
            })?;
        let mut socket = TrackedSocket::new(&mut opened.socket);
        let target = (request.host, request.port);
        let protocol = self.definition.protocol;
        let answer = match timeout_at(deadline, protocol.connect(&mut socket, target, credentials)).await {
            Ok(answer) => answer,
            // It has answered, so it works; the target may be slow.
            Err(_) if protocol.replies_before_connecting() && socket.has_received() => {
                Err(OutproxyFailure::Declined)
            }
            Err(_) => Err(silent),
        };
        let told = socket.may_have_told_target(protocol);
        opened.first_data = answer.map_err(|failure| if told { failure.after_target() } else { failure })?;
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
    pub(super) fn token(&self, key: &IsolationKey) -> Result<Option<Arc<str>>, OutproxyFailure> {
        let OutproxyDefinition { protocol, credentials, pass_isolation, .. } = &self.definition;
        let passes = *pass_isolation && protocol.passes_isolation() && credentials.is_none();
        match passes && !self.is_in_i2p() {
            true => self.tokens.token_of(key).map(Some).map_err(OutproxyFailure::Router),
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
    let socket = socket.map_err(|error| failure_to_open(&error))?;
    Ok(OpenStream { socket, first_data: Vec::new(), client_fin: ClientFin::Forwarded, hold: None })
}

/// Whose fault it is that no socket to an outproxy could be opened. Descriptors, ports and the queue of a Unix socket run out when
/// clients open many connections.
fn failure_to_open(error: &io::Error) -> OutproxyFailure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::TimedOut
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NotFound
        | Kind::PermissionDenied => OutproxyFailure::Outproxy(OutproxyFault::Unreachable),
        _ => OutproxyFailure::Declined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_use_up_is_not_the_fault_of_an_outproxy() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(failure_to_open(&refused), OutproxyFailure::Outproxy(OutproxyFault::Unreachable));
        // EAGAIN, EMFILE, ENFILE, EADDRNOTAVAIL and ENOBUFS of Linux.
        for code in [11, 24, 23, 99, 105] {
            assert_eq!(
                failure_to_open(&io::Error::from_raw_os_error(code)),
                OutproxyFailure::Declined,
                "{code}"
            );
        }
    }
}
