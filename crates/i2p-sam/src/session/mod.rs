//! Sessions: streams, lookups, and how they end.

mod accept;
mod accept_queue;
pub(crate) mod control;
pub(crate) mod datagram;
mod forward;
mod open;
mod pause;
pub(crate) mod primary;
mod style_trial;
pub(crate) mod supervised;
mod udp_socket;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use i2p_name::{Destination, HostName, I2pName};

pub use self::{
    accept::Accepted,
    forward::{Forwarding, PeerLine},
};
use self::{
    accept::{AcceptConnection, AcceptPauses},
    accept_queue::{AcceptQueue, QueuedAccept},
    control::ControlConnection,
};
use crate::{
    bridge::{
        capabilities::{Capabilities, LookupChannel},
        connection::{Connection, within},
        router::Router,
        stream::SamStream,
    },
    error::{Error, Phase},
    wire::{Ports, PrivateKey, SessionId, StreamConnect},
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
    accepts: Arc<AcceptQueue>,
    pauses: AcceptPauses,
    /// Whether a stream of it was ever connected.
    has_connected: AtomicBool,
}

/// A handle that does not keep the session open.
struct WeakSession(Weak<Inner>);

impl WeakSession {
    fn upgrade(&self) -> Option<Session> {
        self.0.upgrade().map(|inner| Session { inner })
    }
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
        let (accepts, pauses) = (Arc::default(), AcceptPauses::default());
        let has_connected = AtomicBool::new(false);
        Self {
            inner: Arc::new(Inner { number, control, id, private_key, kind, accepts, pauses, has_connected }),
        }
    }

    fn downgrade(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.inner))
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

    /// The pauses after STREAM ACCEPTs that fail.
    fn pauses(&self) -> &AcceptPauses {
        &self.inner.pauses
    }

    /// Does the work unless the session is lost before.
    async fn unless_lost<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.inner.control.unless_lost(work).await
    }

    /// Whether the router still holds the session. Once `false`, it stays `false`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.control.is_alive()
    }

    /// Whether a stream to a destination was ever connected.
    fn has_connected(&self) -> bool {
        self.inner.has_connected.load(Ordering::Relaxed)
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
        let stream = control.unless_lost(within(limit, phase, self.router().request(connect))).await?;
        self.inner.has_connected.store(true, Ordering::Relaxed);
        Ok(stream)
    }

    /// Waits for a peer to connect to the session, which has to be published. Several tasks may wait at once: where the router keeps
    /// one STREAM ACCEPT of a session at a time, as i2pd does, they wait in a queue here. After a failure the session waits before it
    /// asks the router again, for longer after each one in a row, so that this can be called in a loop.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Closed`], [`Error::SessionLost`], [`Error::Unreachable`], [`Error::Timeout`].
    pub async fn accept(&self) -> Result<Accepted, Error> {
        self.listen().await?.accept().await
    }

    /// Starts to wait for a peer. Once this has returned, the router accepts one peer for [`Listening::accept`].
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub async fn listen(&self) -> Result<Listening, Error> {
        let place = if self.capabilities().concurrent_accepts() {
            let open = async {
                self.pauses().passed().await;
                let opened = AcceptConnection::open(self.router(), self.id()).await;
                opened.inspect_err(|_| {
                    self.pauses().failed();
                })
            };
            Place::AtRouter(self.unless_lost(open).await?)
        } else {
            let mut queued = self.inner.accepts.join(self);
            self.unless_lost(queued.begun()).await?;
            Place::InQueue(queued)
        };
        Ok(Listening { place, session: self.clone() })
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

/// A session that waits for one peer, until this is dropped.
pub struct Listening {
    place: Place,
    session: Session,
}

/// Where a task waits for its peer.
enum Place {
    /// It has a STREAM ACCEPT of its own.
    AtRouter(AcceptConnection),
    /// It waits for its turn.
    InQueue(QueuedAccept),
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
        let Self { place, session } = self;
        match place {
            Place::InQueue(mut queued) => session.unless_lost(queued.peer()).await,
            Place::AtRouter(mut connection) => {
                let peer = async {
                    connection.peer().await.inspect_err(|_| {
                        session.pauses().failed();
                    })
                };
                let peer = session.unless_lost(peer).await?;
                session.pauses().succeeded();
                Ok(connection.accepted(peer))
            }
        }
    }
}
