use i2p_name::B32;

use crate::{failure::Failure, stream::Opened};

/// Waits for one peer to connect to us. Dropped, it waits no longer.
pub trait Listening: Send + 'static {
    /// Our own address, which peers connect to.
    fn address(&self) -> B32;

    /// Waits for the peer.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] when our way into I2P is lost; any other [`Failure`] when no peer can come any more.
    fn accept(self) -> impl Future<Output = Result<IncomingStream, Failure>> + Send;
}

/// A stream that a peer has opened to us.
#[derive(Debug)]
pub struct IncomingStream {
    /// The peer's address.
    pub peer: B32,
    /// The port that the peer connects from; 0 where it does not say.
    pub port: u16,
    /// The stream.
    pub stream: Opened,
}

/// For a [`Dial`](super::Dial) that no peer can connect to: there is no value of this type.
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
