//! An open stream.

use std::{any::Any, fmt};

use super::socket::Socket;

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
