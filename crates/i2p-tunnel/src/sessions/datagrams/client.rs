use i2p_name::{Destination, I2pName};
use i2p_sam::{DatagramPeer, DatagramSession, Ports, Received, Session};

use super::pool::DatagramLease;
use crate::{failure::Failure, names::Resolver, sessions::pool::SessionLease};

/// The way of one client's datagrams: a session for them, which it has for itself, and the streams that they belong to.
pub struct Datagrams {
    seat: DatagramLease,
    streams: Session,
    names: Resolver,
    _lease: SessionLease,
}

impl Datagrams {
    pub(crate) fn new(seat: DatagramLease, streams: Session, names: Resolver, lease: SessionLease) -> Self {
        Self { seat, streams, names, _lease: lease }
    }

    /// The port that its datagrams come from; 0 where the router carries none.
    pub(crate) fn port(&self) -> u16 {
        self.seat.port()
    }

    pub(crate) fn session(&self) -> &DatagramSession {
        self.seat.session()
    }

    /// Sends a datagram to a port of a peer; where the router carries no ports, to the peer. Whether it arrives nobody says.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] once the session is lost; [`Failure::RouterError`] for what the router does not take: 0
    /// bytes, or more than [`Datagrams::max_payload`].
    pub async fn send(&self, peer: &DatagramPeer, port: u16, payload: &[u8]) -> Result<(), Failure> {
        let ports = Ports { from: self.seat.port(), to: port };
        self.session().send(peer, ports, payload).await.map_err(|error| refused(&error))
    }

    /// Waits for a datagram of anybody. `buffer` takes it with its header and should hold [`i2p_sam::MAX_PACKET_BYTES`] bytes. Safe
    /// to drop and to call again.
    ///
    /// # Errors
    /// As [`Datagrams::send`].
    pub async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Received<'b>, Failure> {
        self.session().receive(buffer).await.map_err(|error| refused(&error))
    }

    /// The most bytes that one may carry.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.session().max_payload()
    }

    /// The destination of a name, by all that names are looked up in.
    ///
    /// # Errors
    /// The [`Failure`] that a client is to be told.
    pub async fn destination(&self, name: &I2pName) -> Result<Destination, Failure> {
        self.names.destination(&self.streams, name).await
    }
}

fn refused(error: &i2p_sam::Error) -> Failure {
    match error {
        i2p_sam::Error::SessionLost => Failure::RouterUnavailable,
        _ => Failure::RouterError,
    }
}

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datagrams").field("seat", &self.seat).finish_non_exhaustive()
    }
}
