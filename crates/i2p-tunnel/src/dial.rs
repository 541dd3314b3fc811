use std::{any::Any, fmt};

use i2p_name::{I2pName, Target};

use crate::{Client, Datagrams, Failure, Incoming, Socket, WaysOut};

/// Looks up and opens streams to what clients ask for.
pub trait Dial: Send + Sync + 'static {
    /// Opens a stream to a target and port, and comes back when the far end is connected, as far as can be told. Port 0 is
    /// "any". Who asks may decide by which way.
    ///
    /// Virtual addresses have become the names that they stand for before: an address here is one of the internet.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    fn dial(
        &self,
        client: &Client,
        target: &Target,
        port: u16,
    ) -> impl Future<Output = Result<Opened, Failure>> + Send;

    /// Finds out whether there is such a name, without opening anything: succeeds for names that nothing is known about.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    fn lookup(
        &self,
        client: &Client,
        name: &I2pName,
        port: u16,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// A way for a client's datagrams, which is its own for as long as it lives.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told; [`Failure::CommandNotSupported`] where datagrams have no way.
    fn associate(&self, _client: &Client) -> impl Future<Output = Result<Datagrams, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }

    /// By what the client's datagrams to hosts outside I2P may go; nothing, unless there are routes.
    fn ways_out(&self, _client: &Client) -> Option<WaysOut> {
        None
    }

    /// The streams that peers open to a client, on the session that its own streams have.
    ///
    /// # Errors
    /// As [`Dial::associate`].
    fn listen(&self, _client: &Client) -> impl Future<Output = Result<Incoming, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }
}

/// An open stream.
pub struct Opened {
    /// The stream.
    pub socket: Socket,
    /// What the far end has sent already: for the client, before anything that is read from the stream.
    pub first_data: Vec<u8>,
    /// What becomes of the client's end of sending.
    pub client_end: ClientEnd,
    /// What has to live for as long as the stream, such as the right to use a session.
    pub hold: Option<Box<dyn Any + Send>>,
}

/// What becomes of a client's FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEnd {
    /// It is kept: every router drops what its peer still has to say when SAM's side of a stream is closed.
    Held,
    /// It is passed on: the other side can still answer.
    PassedOn,
}

impl Opened {
    /// A stream at a SAM bridge, with what has to live as long.
    #[must_use]
    pub fn over_sam(socket: Socket, hold: impl Any + Send) -> Self {
        Self { socket, first_data: Vec::new(), client_end: ClientEnd::Held, hold: Some(Box::new(hold)) }
    }
}

/// Without the far end's data.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("client_end", &self.client_end).finish_non_exhaustive()
    }
}
