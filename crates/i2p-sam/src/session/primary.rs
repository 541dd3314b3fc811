//! Primary sessions and their subsessions.

use std::sync::Arc;

use i2p_name::Destination;

use super::{
    Session, SessionKind,
    control::{ControlConnection, UnusedSubsession},
    datagram::DatagramSession,
};
use crate::{
    bridge::{capabilities::Capabilities, router::Router},
    error::Error,
    wire::{DatagramStyle, Ports, PrivateKey, SessionId, SessionOptions, Style},
};

/// A session that lends its destination and its tunnels to subsessions (SAM v3.3, "PRIMARY sessions"). It ends once it
/// and the last of its subsessions are dropped.
pub struct PrimarySession {
    control: Arc<ControlConnection>,
    private_key: PrivateKey,
}

impl PrimarySession {
    pub(crate) async fn create(router: &Router, options: &SessionOptions) -> Result<Self, Error> {
        let capabilities = router.capabilities();
        let unsupported =
            || Error::Unsupported { what: "sessions with subsessions", dialect: capabilities.dialect() };
        let word = capabilities.primary().ok_or_else(unsupported)?;
        let (control, _, key) = ControlConnection::create(router, Style::Primary(word), options).await?;
        Ok(Self::on(Arc::new(control), key))
    }

    /// The primary session of a control connection.
    pub(crate) fn on(control: Arc<ControlConnection>, private_key: PrivateKey) -> Self {
        Self { control, private_key }
    }

    /// The destination of the session and all of its subsessions.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.private_key.destination()
    }

    /// The router that made the session.
    #[must_use]
    pub fn router(&self) -> &Router {
        self.control.router()
    }

    /// What the router that made the session can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.router().capabilities()
    }

    /// Whether the router still holds the session. Once `false`, it stays `false`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.control.is_alive()
    }

    /// Adds a subsession for streams. It receives those that peers open to `listen_port`; with 0, those to every port that no
    /// other subsession has.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Timeout`], [`Error::SessionLost`].
    pub async fn add_streams(&self, listen_port: u16) -> Result<Session, Error> {
        let id = SessionId::random().map_err(Error::Random)?;
        self.control.add(id.clone(), Style::Stream, listen_port).await?;
        let (control, key) = (Arc::clone(&self.control), self.private_key.clone());
        Ok(Session::on(control, id, key, SessionKind::Subsession))
    }

    /// Adds a subsession for datagrams of one kind. It receives those sent to `ports.from`; with 0, those to every port that
    /// no other subsession has. emissary removes no subsessions: there this takes over an unused one that was added for the
    /// same kind and port, if there is one.
    ///
    /// # Errors
    /// As [`PrimarySession::add_streams`], and [`Error::Unsupported`] on i2pd, [`Error::Udp`].
    pub async fn add_datagrams(&self, style: DatagramStyle, ports: Ports) -> Result<DatagramSession, Error> {
        let capabilities = self.capabilities();
        if !capabilities.datagrams_beside_streams(style) {
            let what = "subsessions for datagrams of this kind";
            return Err(Error::Unsupported { what, dialect: capabilities.dialect() });
        }
        self.router().try_datagrams(style).await?;
        let (control, key) = (Arc::clone(&self.control), self.private_key.clone());
        if let Some(UnusedSubsession { id, socket, .. }) = self.control.take_over(style, ports.from) {
            let session = Session::on(control, id, key, SessionKind::Subsession);
            let session = DatagramSession::on(session, style, ports.from, socket);
            session.discard_waiting();
            return Ok(session);
        }
        let socket = Arc::new(DatagramSession::socket(self.router()).await?);
        let id = SessionId::random().map_err(Error::Random)?;
        // In a task of its own, so that it is finished even if the caller gives up: what the router has added may stay until the
        // primary session ends.
        let adding = tokio::spawn(async move {
            control.add(id.clone(), socket.style(style, ports), ports.from).await?;
            let session = Session::on(control, id, key, SessionKind::Subsession);
            Ok(DatagramSession::on(session, style, ports.from, socket))
        });
        adding.await.unwrap_or(Err(Error::SessionLost))
    }
}

impl std::fmt::Debug for PrimarySession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrimarySession").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}
