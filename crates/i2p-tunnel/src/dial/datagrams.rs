use i2p_name::{B32, Destination, I2pName};

use crate::failure::Failure;

/// Carries the datagrams of one client to its peers and back.
///
/// [`send`](Self::send) and [`receive`](Self::receive) run for every datagram: an implementation had better not allocate there.
pub trait Datagrams: Send + Sync + 'static {
    /// A peer in the form that datagrams are sent to. Made once for each peer of a client.
    type Peer: Send + Sync + 'static;

    /// Makes a destination into a peer. A peer stays valid: when a channel is lost, its peers are used with the next one of the
    /// same client.
    fn peer(&self, destination: &Destination) -> Self::Peer;

    /// Sends a datagram to a port of a peer; to the peer, where ports are not carried. Nobody reports whether it arrives.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] once the channel is lost, so that another one is opened; any other [`Failure`] for a datagram
    /// that is not accepted, such as one of 0 bytes or of more than [`max_payload`](Self::max_payload).
    fn send(
        &self,
        peer: &Self::Peer,
        port: u16,
        payload: &[u8],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Waits for a datagram of any peer and reads it into the buffer, which holds
    /// [`BUFFER_LENGTH`](Self::BUFFER_LENGTH) bytes. Has to be cancel safe: it is dropped and called again between datagrams.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`], or another [`Failure`], once the channel is lost.
    fn receive<'b>(
        &self,
        buffer: &'b mut [u8],
    ) -> impl Future<Output = Result<ReceivedDatagram<'b>, Failure>> + Send;

    /// Bytes of the buffer that [`receive`](Self::receive) needs: the longest payload, and whatever header stands before it.
    const BUFFER_LENGTH: usize;

    /// The most bytes that a datagram may carry.
    fn max_payload(&self) -> usize;

    /// Looks up the destination of a name, on behalf of the client whose datagrams these are.
    ///
    /// # Errors
    /// The [`Failure`] that a client is told.
    fn destination(&self, name: &I2pName) -> impl Future<Output = Result<Destination, Failure>> + Send;
}

/// A datagram of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedDatagram<'b> {
    /// Who sent it.
    pub sender: DatagramSender<'b>,
    /// The port that it comes from; `None` where ports are not carried.
    pub port: Option<u16>,
    /// What it carries.
    pub payload: &'b [u8],
}

/// The sender of a datagram, in the form in which it arrived: known senders are found by it without decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatagramSender<'b> {
    /// A destination in I2P's base64.
    Destination(&'b str),
    /// The hash of a destination in I2P's base64.
    Hash(&'b str),
    /// The hash of a destination.
    B32(B32),
    /// The datagram does not tell.
    Unknown,
}

impl DatagramSender<'_> {
    /// Decodes the address; `None` for a sender that is unknown or malformed.
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

/// For a [`Dial`](super::Dial) that carries no datagrams: there is no value of this type.
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
