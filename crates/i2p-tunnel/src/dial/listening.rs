use i2p_name::B32;

use crate::{failure::Failure, stream::OpenStream};

/// Waits for one peer to connect. Dropping it stops the wait.
pub trait Listening: Send + 'static {
    /// The address that peers connect to.
    fn address(&self) -> B32;

    /// Waits for the peer.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] if the way into I2P is lost; any other [`Failure`] if no peer can connect any more.
    fn accept(self) -> impl Future<Output = Result<IncomingStream, Failure>> + Send;
}

/// A stream that a peer has opened.
#[derive(Debug)]
pub struct IncomingStream {
    /// The peer's address.
    pub peer: B32,
    /// The port that the peer connects from; 0 if it is unknown.
    pub port: u16,
    /// The stream.
    pub stream: OpenStream,
}

/// The type for a [`Dial`](super::Dial) that accepts no peers. It has no value.
#[derive(Debug, Clone, Copy)]
pub enum NoListening {}

impl Listening for NoListening {
    fn address(&self) -> B32 {
        match *self {}
    }

    async fn accept(self) -> Result<IncomingStream, Failure> {
        match self {}
    }
}
