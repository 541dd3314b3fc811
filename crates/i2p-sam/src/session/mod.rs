pub(crate) mod control;
pub(crate) mod datagram;
mod open;
pub(crate) mod primary;
pub(crate) mod supervised;
mod udp_socket;

use std::{net::SocketAddr, sync::Arc};

use i2p_name::{Destination, HostName, I2pName};
use tokio::{net::TcpStream, task::JoinHandle};

use self::control::Control;
use crate::{
    bridge::{
        Bridge,
        capabilities::{Capabilities, Lookups},
        connection::{Connection, Line, within},
        lookup,
    },
    error::{Error, Phase},
    wire::{AcceptedFrom, Ports, PrivateKey, Reply, SessionId, StreamAccept, StreamConnect, StreamForward},
};

/// An open session: a destination on the network and its tunnels. Clones are the same session; it ends when the
/// last one is dropped, or when the router goes away. Its streams end with it.
#[derive(Clone)]
pub struct Session {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) bridge: Bridge,
    pub(crate) control: Arc<Control>,
    id: SessionId,
    pub(crate) private_key: PrivateKey,
    /// Whether the session is one of several on its control connection.
    pub(crate) subsession: bool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.subsession {
            self.control.remove(self.id.clone());
        }
    }
}

impl Session {
    pub(crate) fn with(
        bridge: Bridge,
        control: Arc<Control>,
        id: SessionId,
        private_key: PrivateKey,
        subsession: bool,
    ) -> Self {
        Self { inner: Arc::new(Inner { bridge, control, id, private_key, subsession }) }
    }

    /// The session's own destination.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.inner.private_key.destination()
    }

    /// The keys behind the destination: with them a later session can be the same one.
    #[must_use]
    pub fn private_key(&self) -> &PrivateKey {
        &self.inner.private_key
    }

    /// What the bridge could do when the session was created.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.inner.control.capabilities()
    }

    /// The control connection, if other sessions may be on it too.
    pub(crate) fn shared_control(&self) -> Option<&Control> {
        self.inner.subsession.then_some(&*self.inner.control)
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.inner.id
    }

    /// Whether the router still holds the session. Once `false`, it stays so.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.control.is_alive()
    }

    /// Comes back when the session is gone.
    pub async fn lost(&self) {
        self.inner.control.lost().await;
    }

    /// Asks the router's address book for a destination.
    ///
    /// Where the router allows it a lookup has a connection of its own, so that a slow one holds up nothing; where it does
    /// not (emissary) the lookups of a session run one after the other.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND` or `INVALID_KEY` when the router does not know the name (i2pd says
    /// the second), [`Error::Timeout`], [`Error::SessionLost`].
    pub async fn lookup(&self, name: &HostName) -> Result<Destination, Error> {
        let Inner { bridge, control, .. } = &*self.inner;
        let name = I2pName::from(name.clone());
        match control.capabilities().lookups() {
            Lookups::OnSession => control.lookup(name).await,
            Lookups::Anywhere => control.unless_lost(lookup::anywhere(bridge, &name)).await,
        }
    }

    /// The destination behind any name: datagrams are sent to nothing shorter. An address by hash the router looks for in the
    /// network, which takes seconds.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn destination_of(&self, name: &I2pName) -> Result<Destination, Error> {
        let Inner { bridge, control, .. } = &*self.inner;
        match (name, control.capabilities().lookups()) {
            (I2pName::Destination(destination), _) => Ok(Destination::clone(destination)),
            (name, Lookups::OnSession) => control.lookup(name.clone()).await,
            (name, Lookups::Anywhere) => control.unless_lost(lookup::anywhere(bridge, name)).await,
        }
    }

    /// Connects a stream to a destination and port; port 0 is "any". A host name is resolved by the router.
    ///
    /// i2pd answers when the stream is on its way, the other routers when the far end has answered; Java I2P at once where
    /// the session has [early data](SessionOptions::early_data).
    ///
    /// # Errors
    /// [`Error::Refused`] with the router's word, [`Error::Timeout`], [`Error::Closed`] (emissary's way to say
    /// several things), [`Error::SessionLost`], and what [`Bridge::capabilities`] can say. The words:
    ///
    /// | why | Java I2P 2.7 | i2pd | emissary |
    /// |---|---|---|---|
    /// | a host name that nobody has | `INVALID_KEY` | `INVALID_KEY` | `I2P_ERROR`, or [`Error::Closed`] |
    /// | a base32 address of nobody | `INVALID_KEY` | `CANT_REACH_PEER` | `CANT_REACH_PEER` |
    /// | a destination of nobody | `CANT_REACH_PEER` | `CANT_REACH_PEER` | `CANT_REACH_PEER` |
    /// | a session that accepts nothing | `CANT_REACH_PEER` | granted, and ended after 10 s | granted, and silent |
    pub async fn connect(&self, destination: &I2pName, port: u16) -> Result<TcpStream, Error> {
        let phase = Phase::StreamConnect;
        let Inner { bridge, control, id, .. } = &*self.inner;
        let connect = |mut connection: Connection| async move {
            connection.send(&StreamConnect { id, destination, ports: Ports::to(port) }, phase).await?;
            connection.stream_status(phase).await?;
            Ok(connection.into_stream())
        };
        let limit = bridge.timeouts().stream_connect;
        control.unless_lost(within(limit, phase, bridge.ask(connect))).await
    }

    /// Waits for a peer to connect to the session, which has to be published. Any number may wait at once.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Closed`], [`Error::SessionLost`], and what [`Bridge::capabilities`] can say.
    pub async fn accept(&self) -> Result<Accepted, Error> {
        self.listen().await?.accept().await
    }

    /// Begins to wait for a peer: once this comes back, one that connects is taken.
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub async fn listen(&self) -> Result<Listening, Error> {
        let Inner { bridge, control, id, .. } = &*self.inner;
        let listen = async {
            let mut connection = bridge.connect().await?;
            connection.send(&StreamAccept { id }, ACCEPT).await?;
            connection.stream_status(ACCEPT).await?;
            Ok(connection)
        };
        let connection = control.unless_lost(listen).await?;
        Ok(Listening { connection, session: self.clone() })
    }

    /// Has the router connect to `forward_to` for each stream that a peer opens to the session. Unless `silent`, each such
    /// connection begins with a line that says who comes ([`AcceptedFrom`]). Ends when the [`Forwarding`] is dropped.
    ///
    /// # Errors
    /// As [`Session::accept`], and [`Error::Timeout`]; routers refuse it while the session accepts.
    pub async fn forward(&self, forward_to: SocketAddr, silent: bool) -> Result<Forwarding, Error> {
        let phase = Phase::StreamForward;
        let Inner { bridge, control, id, .. } = &*self.inner;
        let limit = bridge.timeouts().hello;
        let forward = async {
            let mut connection = bridge.connect().await?;
            connection.send(&StreamForward { id, forward_to, silent }, phase).await?;
            connection.stream_status(phase).await?;
            Ok(connection)
        };
        let connection = control.unless_lost(within(limit, phase, forward)).await?;
        Ok(Forwarding { keeping: tokio::spawn(keep(connection)), _session: self.clone() })
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

const ACCEPT: Phase = Phase::StreamAccept;

/// A session waits for a peer for as long as this exists.
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
    /// The peer, when one has come.
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub async fn accept(self) -> Result<Accepted, Error> {
        let Self { mut connection, session } = self;
        let accept = async {
            loop {
                let line = connection.answer(ACCEPT).await?;
                if let Ok(AcceptedFrom { destination, ports }) = AcceptedFrom::parse(&line) {
                    let peer = destination.parse().map_err(|_| Error::Unexpected { phase: ACCEPT })?;
                    return Ok(Accepted { stream: connection.into_stream(), peer, ports });
                }
                match Reply::parse(&line) {
                    // Not answered: a peer may be coming in this moment, and would be sent the PONG.
                    Ok(Reply::Ping(_)) => {}
                    Ok(Reply::Stream { status }) => return Err(Error::refused(ACCEPT, status)),
                    _ => return Err(Error::Unexpected { phase: ACCEPT }),
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
    pub stream: TcpStream,
    /// Who opened it.
    pub peer: Destination,
    /// The I2CP ports; 0 where the router does not say them (i2pd, emissary).
    pub ports: Ports,
}

/// Streams of a session are being forwarded for as long as this exists.
#[derive(Debug)]
pub struct Forwarding {
    keeping: JoinHandle<()>,
    _session: Session,
}

impl Forwarding {
    /// Comes back when the router has stopped forwarding.
    pub async fn ended(&mut self) {
        // It does not panic, and is aborted only when this is dropped.
        let _ = (&mut self.keeping).await;
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Keeps a connection that the router sends nothing on but PINGs.
async fn keep(mut connection: Connection) {
    while let Ok(Line::Complete(line)) = connection.line().await {
        if let Ok(Reply::Ping(text)) = Reply::parse(&line)
            && connection.pong(text).await.is_err()
        {
            return;
        }
    }
}
