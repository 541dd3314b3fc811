use std::fmt;

use super::{half_closed::Hold, socket::Socket};

/// A stream that a dialler or an outproxy has opened.
pub struct OpenStream {
    /// The stream.
    pub socket: Socket,
    /// Data that the far end has sent already. The client gets it before anything that is read from the stream.
    pub first_data: Vec<u8>,
    /// What happens when the client has finished sending.
    pub client_fin: ClientFin,
    /// Something to keep alive as long as the stream, such as the lease of a session.
    pub hold: Option<Box<dyn Hold>>,
}

/// What happens to the client's FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFin {
    /// It is held back. When SAM's side of a stream is closed, every router drops the rest of the peer's data.
    Held,
    /// It is forwarded. The far end can still answer.
    Forwarded,
}

impl OpenStream {
    /// Makes a stream from a SAM connection. `hold` is kept alive as long as the stream.
    #[must_use]
    pub fn over_sam(socket: Socket, hold: impl Hold) -> Self {
        Self { socket, first_data: Vec::new(), client_fin: ClientFin::Held, hold: Some(Box::new(hold)) }
    }
}

/// Shows no data.
impl fmt::Debug for OpenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream").field("client_fin", &self.client_fin).finish_non_exhaustive()
    }
}
