//! What a network needs from the world outside the namespace.

use std::{future::Future, net::SocketAddr};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

use super::splice::{self, Socket};
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
pub trait OutsideStream: Send + 'static {
    /// Relays between a program and this connection until both have finished. If one of them fails, the other one is reset, once it
    /// has received what the first has sent.
    fn relay(self, program: TcpStream) -> impl Future<Output = ()> + Send;

    /// Ends the connection so that the far end learns of a failure, and takes it for no orderly end.
    fn abort(self);
}

/// The kernel relays the data.
impl OutsideStream for TcpStream {
    async fn relay(self, program: TcpStream) {
        if splice::relay(Socket::Tcp(&program), Socket::Tcp(&self)).await.is_err() {
            let _ = program.set_zero_linger();
            self.abort();
        }
    }

    fn abort(self) {
        let _ = self.set_zero_linger();
    }
}

/// The kernel relays the data. A Unix socket has no reset: its far end sees the end of the data.
impl OutsideStream for UnixStream {
    async fn relay(self, program: TcpStream) {
        if splice::relay(Socket::Tcp(&program), Socket::Unix(&self)).await.is_err() {
            let _ = program.set_zero_linger();
        }
    }

    fn abort(self) {}
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

#[cfg(test)]
mod tests {
    use std::{io, net::Ipv4Addr};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, Interest},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    /// What a program receives, that has sent more than the far end reads, and the failure after it.
    async fn receive(far: impl OutsideStream) -> (String, Option<io::ErrorKind>) {
        let (mut program, inside) = pair().await;
        program.write_all(b"more").await.unwrap();
        inside.readable().await.unwrap();
        let receiving = async {
            let mut answer = Vec::new();
            let end = program.read_to_end(&mut answer).await;
            (String::from_utf8(answer).unwrap(), end.err().map(|error| error.kind()))
        };
        tokio::join!(far.relay(inside), receiving).1
    }

    #[tokio::test]
    async fn an_early_answer_arrives_and_the_reset_after_it() {
        let (mut far, mut server) = pair().await;
        far.write_all(b"question").await.unwrap();
        server.readable().await.unwrap();
        server.write_all(b"answer").await.unwrap();
        // It has not read the question, so this resets the connection.
        drop(server);
        while !far.ready(Interest::READABLE).await.unwrap().is_read_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!(receive(far).await, ("answer".to_owned(), Some(io::ErrorKind::ConnectionReset)));
    }

    #[tokio::test]
    async fn an_early_answer_of_an_end_that_is_gone_arrives() {
        let (far, mut server) = UnixStream::pair().unwrap();
        server.write_all(b"answer").await.unwrap();
        drop(server);
        assert_eq!(receive(far).await, ("answer".to_owned(), None));
    }
}
