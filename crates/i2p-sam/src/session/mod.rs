//! Sessions: streams, lookups, and how they end.

pub(crate) mod control;
pub(crate) mod datagram;
mod open;
pub(crate) mod primary;
pub(crate) mod supervised;
mod udp_socket;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use i2p_name::{Destination, HostName, I2pName};
use tokio::task::JoinHandle;

use self::control::ControlConnection;
use crate::{
    bridge::{
        capabilities::{Capabilities, LookupChannel},
        connection::{Connection, LineRead, within},
        router::Router,
        stream::SamStream,
    },
    error::{Error, Phase},
    wire::{AcceptedFrom, Ports, PrivateKey, Reply, SessionId, StreamAccept, StreamConnect, StreamForward},
};

/// An open session: a destination on the network and its tunnels. Clones are the same session. It ends, and its streams
/// with it, when the last clone is dropped or the router goes away.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    number: u64,
    control: Arc<ControlConnection>,
    id: SessionId,
    private_key: PrivateKey,
    kind: SessionKind,
}

/// The number of the next session.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// Whether a session has its control connection for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// The only session on its control connection.
    Whole,
    /// One of several on the control connection of a primary session.
    Subsession,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.kind == SessionKind::Subsession {
            self.control.remove(self.id.clone());
        }
    }
}

impl Session {
    pub(crate) fn on(
        control: Arc<ControlConnection>,
        id: SessionId,
        private_key: PrivateKey,
        kind: SessionKind,
    ) -> Self {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { inner: Arc::new(Inner { number, control, id, private_key, kind }) }
    }

    /// Identifies the session: no other session of this process has this number, not even a later one with the same destination.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// The session's own destination.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.inner.private_key.destination()
    }

    /// The keys of the destination: a later session that is created with them has the same destination.
    #[must_use]
    pub fn private_key(&self) -> &PrivateKey {
        &self.inner.private_key
    }

    /// The router that made the session.
    #[must_use]
    pub fn router(&self) -> &Router {
        self.inner.control.router()
    }

    /// What the router that made the session can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.router().capabilities()
    }

    /// The control connection, if other sessions may be on it too.
    pub(crate) fn shared_control(&self) -> Option<&Arc<ControlConnection>> {
        (self.inner.kind == SessionKind::Subsession).then_some(&self.inner.control)
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.inner.id
    }

    /// Whether the router still holds the session. Once `false`, it stays `false`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.control.is_alive()
    }

    /// Returns once the session is gone.
    pub async fn lost(&self) {
        self.inner.control.lost().await;
    }

    /// Asks the router's address book for a destination.
    ///
    /// The lookup has a connection of its own, so that a slow one delays no other. emissary answers on the control connection
    /// only: there the lookups of a session run one after the other.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND` when the router does not know the name (i2pd: `INVALID_KEY`),
    /// [`Error::Timeout`], [`Error::SessionLost`].
    pub async fn lookup(&self, name: &HostName) -> Result<Destination, Error> {
        self.ask_for_name(&I2pName::from(name.clone())).await
    }

    /// The destination of any name: datagrams can be sent to nothing shorter. For an address by hash the router searches the
    /// network, which takes seconds.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn destination_of(&self, name: &I2pName) -> Result<Destination, Error> {
        match name {
            I2pName::Destination(destination) => Ok(Destination::clone(destination)),
            name => self.ask_for_name(name).await,
        }
    }

    async fn ask_for_name(&self, name: &I2pName) -> Result<Destination, Error> {
        let control = &self.inner.control;
        match self.capabilities().lookup_channel() {
            LookupChannel::Session => control.lookup(name.clone()).await,
            LookupChannel::AnyConnection => control.unless_lost(self.router().lookup(name)).await,
        }
    }

    /// Connects a stream to a destination and port; port 0 is "any". The router resolves a host name.
    ///
    /// i2pd answers once the stream is on its way, the other routers once the far end has answered. Java I2P answers at once
    /// where the session has [early data](crate::SessionOptions::early_data).
    ///
    /// # Errors
    /// [`Error::Refused`] with the router's word, [`Error::Timeout`], [`Error::Closed`] (with which emissary reports
    /// several errors), [`Error::SessionLost`], [`Error::Unreachable`]. The words:
    ///
    /// | cause | Java I2P 2.7 | i2pd | emissary |
    /// |---|---|---|---|
    /// | an unknown host name | `INVALID_KEY` | `INVALID_KEY` | `I2P_ERROR`, or [`Error::Closed`] |
    /// | an unknown base32 address | `INVALID_KEY` | `CANT_REACH_PEER` | `CANT_REACH_PEER` |
    /// | an unknown destination | `CANT_REACH_PEER` | `CANT_REACH_PEER` | `CANT_REACH_PEER` |
    /// | a session that accepts nothing | `CANT_REACH_PEER` | connected, and closed after 10 s | connected, and silent |
    pub async fn connect(&self, destination: &I2pName, port: u16) -> Result<SamStream, Error> {
        let phase = Phase::StreamConnect;
        let Inner { control, id, .. } = &*self.inner;
        let connect = |mut connection: Connection| async move {
            connection.send(&StreamConnect { id, destination, ports: Ports::to(port) }, phase).await?;
            connection.stream_status(phase).await?;
            Ok(connection.into_stream())
        };
        let limit = self.router().bridge().timeouts().stream_connect;
        control.unless_lost(within(limit, phase, self.router().request(connect))).await
    }

    /// Waits for a peer to connect to the session, which has to be published. Several tasks may wait at once.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Closed`], [`Error::SessionLost`], [`Error::Unreachable`].
    pub async fn accept(&self) -> Result<Accepted, Error> {
        self.listen().await?.accept().await
    }

    /// Starts to wait for a peer. Once this has returned, the router accepts one peer for [`Listening::accept`].
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub async fn listen(&self) -> Result<Listening, Error> {
        let listen = async {
            let mut connection = self.router().connect().await?;
            connection.send(&StreamAccept { id: self.id() }, ACCEPT_PHASE).await?;
            connection.stream_status(ACCEPT_PHASE).await?;
            Ok(connection)
        };
        let connection = self.inner.control.unless_lost(listen).await?;
        Ok(Listening { connection, session: self.clone() })
    }

    /// Has the router connect to `forward_to` for each stream that a peer opens to the session. With [`PeerLine::Sent`] each
    /// of these connections begins with a line that names the peer ([`AcceptedFrom`]). Ends when the [`Forwarding`] is
    /// dropped.
    ///
    /// # Errors
    /// As [`Session::accept`], and [`Error::Timeout`]; routers refuse it while the session accepts.
    pub async fn forward(&self, forward_to: SocketAddr, peer_line: PeerLine) -> Result<Forwarding, Error> {
        let phase = Phase::StreamForward;
        let silent = peer_line == PeerLine::Omitted;
        let limit = self.router().bridge().timeouts().hello;
        let forward = async {
            let mut connection = self.router().connect().await?;
            connection.send(&StreamForward { id: self.id(), forward_to, silent }, phase).await?;
            connection.stream_status(phase).await?;
            Ok(connection)
        };
        let connection = self.inner.control.unless_lost(within(limit, phase, forward)).await?;
        Ok(Forwarding { keeping: tokio::spawn(keep(connection)), _session: self.clone() })
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

/// Whether a forwarded stream begins with a line that names the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerLine {
    /// The router sends the line ([`AcceptedFrom`]) before the peer's bytes.
    Sent,
    /// The stream begins with the peer's bytes (`SILENT=true`).
    Omitted,
}

const ACCEPT_PHASE: Phase = Phase::StreamAccept;

/// A session that waits for one peer, until this is dropped.
pub struct Listening {
    connection: Connection,
    session: Session,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Listening {
    /// Waits until a peer has connected.
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub async fn accept(self) -> Result<Accepted, Error> {
        let Self { mut connection, session } = self;
        let accept = async {
            loop {
                let line = connection.answer(ACCEPT_PHASE).await?;
                if let Ok(AcceptedFrom { destination, ports }) = AcceptedFrom::parse(&line) {
                    let unexpected = Error::Unexpected { phase: ACCEPT_PHASE };
                    let peer = destination.parse().map_err(|_| unexpected)?;
                    return Ok(Accepted { stream: connection.into_stream(), peer, ports });
                }
                match Reply::parse(&line) {
                    // Not answered: a peer that connects at this moment would be sent the PONG.
                    Ok(Reply::Ping(_)) => {}
                    Ok(Reply::Stream { status }) => return Err(Error::refused(ACCEPT_PHASE, status)),
                    _ => return Err(Error::Unexpected { phase: ACCEPT_PHASE }),
                }
            }
        };
        session.inner.control.unless_lost(accept).await
    }
}

/// A stream that a peer opened.
#[derive(Debug)]
pub struct Accepted {
    /// The stream.
    pub stream: SamStream,
    /// The destination of the peer.
    pub peer: Destination,
    /// The I2CP ports; 0 where the router does not report them (i2pd, emissary).
    pub ports: Ports,
}

/// The router forwards a session's streams until this is dropped.
#[derive(Debug)]
pub struct Forwarding {
    keeping: JoinHandle<()>,
    _session: Session,
}

impl Forwarding {
    /// Returns once the router has stopped forwarding.
    pub async fn ended(&mut self) {
        // The task does not panic, and is aborted only when this is dropped.
        let _ = (&mut self.keeping).await;
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Keeps a connection open on which the router sends nothing but PINGs.
async fn keep(mut connection: Connection) {
    while let Ok(LineRead::Complete(line)) = connection.line().await {
        if let Ok(Reply::Ping(text)) = Reply::parse(&line)
            && connection.pong(text).await.is_err()
        {
            return;
        }
    }
}
