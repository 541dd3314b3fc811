//! What a network needs from the world outside the namespace.

use std::{future::Future, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

use super::splice::Socket;
use crate::{gate::Refusal, packet::Unreachable};

/// The way out: connections, names and datagrams. There is no other.
pub trait Outside: Send + Sync + 'static {
    /// A connection.
    type Stream: OutsideStream;

    /// Connects to what a program connects to. The program's SYN is answered with the outcome.
    ///
    /// A dial that is given up is dropped.
    fn dial(
        &self,
        client: SocketAddr,
        target: SocketAddr,
    ) -> impl Future<Output = Result<Self::Stream, Refusal>> + Send;

    /// Answers a DNS message, whatever server the program has sent it to. Without an answer, the program waits until it gives up.
    fn resolve(
        &self,
        query: Vec<u8>,
        transport: DnsTransport,
    ) -> impl Future<Output = Option<Vec<u8>>> + Send;

    /// Takes a datagram of a program, or says why it cannot: the program gets that as an ICMP error. Answers go to `replies`, now or
    /// later.
    ///
    /// # Errors
    /// Why nothing can be sent to this target.
    fn datagram(&self, datagram: Datagram, replies: &Replies) -> Result<(), Unreachable>;
}

/// A connection outside.
pub trait OutsideStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Ends the connection so that the far end learns of a failure, and takes it for no orderly end.
    fn abort(self);

    /// The socket, if its bytes are those of the stream. Then the kernel relays them.
    fn socket(&self) -> Option<Socket<'_>> {
        None
    }
}

impl OutsideStream for TcpStream {
    fn abort(self) {
        let _ = self.set_zero_linger();
    }

    fn socket(&self) -> Option<Socket<'_>> {
        Some(Socket::Tcp(self))
    }
}

/// A Unix socket has no reset: its far end sees the end of the data.
impl OutsideStream for UnixStream {
    fn abort(self) {}

    fn socket(&self) -> Option<Socket<'_>> {
        Some(Socket::Unix(self))
    }
}

/// How a DNS message arrived, which limits the length of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsTransport {
    /// In a datagram.
    Udp,
    /// Over a stream, where a message may have 65,535 bytes.
    Tcp,
}

/// A datagram of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The program's address and port.
    pub client: SocketAddr,
    /// Where it is sent to.
    pub target: SocketAddr,
    /// Its data.
    pub payload: Vec<u8>,
}

/// Sends datagrams to programs.
#[derive(Debug, Clone)]
pub struct Replies(pub(super) mpsc::Sender<Datagram>);

impl Replies {
    /// Sends a datagram from `target` to `client`, as if the target had. It is dropped if too many wait, as datagrams are.
    pub fn send(&self, datagram: Datagram) {
        let _ = self.0.try_send(datagram);
    }
}
