use i2p_name::{B32, Destination, I2pName};

use crate::failure::Failure;

/// Carries the datagrams of one client to its peers and back.
///
/// [`send`](Self::send) and [`receive`](Self::receive) run once per datagram. An implementation should not allocate in them.
pub trait Datagrams: Send + Sync + 'static {
    /// A peer in the form that datagrams are sent to. It is made once for each peer of a client.
    type Peer: Send + Sync + 'static;

    /// Makes a peer from a destination. A peer stays valid when the channel is lost: it is used again with the next channel of
    /// the same client.
    fn peer(&self, destination: &Destination) -> Self::Peer;

    /// Sends a datagram to a port of a peer. The port is ignored if ports are not carried. Nothing reports whether the datagram
    /// arrives.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] once the channel is lost: another one is opened then. Any other [`Failure`] means that this
    /// datagram was not accepted, such as one of 0 bytes or of more than [`max_payload`](Self::max_payload).
    fn send(
        &self,
        peer: &Self::Peer,
        port: u16,
        payload: &[u8],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Receives a datagram from any peer into the buffer, which holds [`BUFFER_LENGTH`](Self::BUFFER_LENGTH) bytes. It must be
    /// cancel-safe: the future is dropped and created again between datagrams.
    ///
    /// # Errors
    /// Any [`Failure`] means that the channel is lost.
    fn receive<'b>(
        &self,
        buffer: &'b mut [u8],
    ) -> impl Future<Output = Result<ReceivedDatagram<'b>, Failure>> + Send;

    /// The size of the buffer that [`receive`](Self::receive) needs: the longest payload and its header.
    const BUFFER_LENGTH: usize;

    /// The longest payload, in bytes.
    fn max_payload(&self) -> usize;

    /// Looks up the destination of a name on behalf of the client.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client.
    fn destination(&self, name: &I2pName) -> impl Future<Output = Result<Destination, Failure>> + Send;
}

/// A datagram from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedDatagram<'b> {
    /// The sender.
    pub sender: DatagramSender<'b>,
    /// The sender's port; `None` if ports are not carried.
    pub port: Option<u16>,
    /// The payload.
    pub payload: &'b [u8],
}

/// The sender of a datagram in the form in which it arrived. Known senders are recognised by it without decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatagramSender<'b> {
    /// A destination in I2P's base64.
    Destination(&'b str),
    /// The hash of a destination in I2P's base64.
    Hash(&'b str),
    /// The hash of a destination.
    B32(B32),
    /// The datagram does not name its sender.
    Unknown,
}

impl DatagramSender<'_> {
    /// Decodes the address. Returns `None` if the sender is unknown or malformed.
    #[must_use]
    pub fn b32(&self) -> Option<B32> {
        match self {
            Self::Destination(text) => text.parse::<Destination>().ok().map(|destination| destination.b32()),
            Self::Hash(text) => {
                let hash = i2p_name::base64::decode(text).ok()?;
                hash.try_into().ok().map(B32::from_hash)
            }
            Self::B32(b32) => Some(*b32),
            Self::Unknown => None,
        }
    }
}

/// The type for a [`Dial`](super::Dial) that carries no datagrams. It has no value.
#[derive(Debug, Clone, Copy)]
pub enum NoDatagrams {}

impl Datagrams for NoDatagrams {
    type Peer = Self;

    const BUFFER_LENGTH: usize = 0;

    fn peer(&self, _: &Destination) -> Self {
        match *self {}
    }

    async fn send(&self, _: &Self, _: u16, _: &[u8]) -> Result<(), Failure> {
        match *self {}
    }

    async fn receive<'b>(&self, _: &'b mut [u8]) -> Result<ReceivedDatagram<'b>, Failure> {
        match *self {}
    }

    fn max_payload(&self) -> usize {
        match *self {}
    }

    async fn destination(&self, _: &I2pName) -> Result<Destination, Failure> {
        match *self {}
    }
}
