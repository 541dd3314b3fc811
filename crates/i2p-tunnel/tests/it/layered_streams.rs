//! Streams that are more than a socket: a filter over another stream, with and without a socket below.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use i2p_tunnel::{ClientFin, Layer, Limits, OpenStream, Socket};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// Generous: tests wait this long only if something is broken.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A filter that turns everything read into upper case, and holds back what is written until it is flushed.
struct Loud<T> {
    stream: T,
    held_back: Vec<u8>,
    reset: Arc<AtomicBool>,
}

impl<T: AsyncWrite + Unpin> Loud<T> {
    fn write_held_back(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held_back.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.held_back) {
                Poll::Ready(Ok(count)) => drop(self.held_back.drain(..count)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Loud<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        buffer.filled_mut()[before..].make_ascii_uppercase();
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Loud<T> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.held_back.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.write_held_back(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_flush(context),
            other => other,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.write_held_back(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_shutdown(context),
            other => other,
        }
    }
}

/// Over a stream in memory, which cannot be reset.
impl Layer for Loud<DuplexStream> {
    fn reset_on_close(&mut self, reset: bool) {
        self.reset.store(reset, Relaxed);
    }
}

/// Over a socket, which can have options and be reset.
impl Layer for Loud<Socket> {
    fn socket(&self) -> Option<&Socket> {
        Some(&self.stream)
    }
}

fn loud<T>(stream: T) -> (Loud<T>, Arc<AtomicBool>) {
    let reset = Arc::<AtomicBool>::default();
    (Loud { stream, held_back: Vec::new(), reset: Arc::clone(&reset) }, reset)
}

/// Relays between a stream of ours and a peer.
fn relay(local: Socket, peer: Socket) -> JoinHandle<io::Result<()>> {
    let opened = OpenStream {
        socket: peer,
        first_data: b"first ".to_vec(),
        client_fin: ClientFin::Forwarded,
        hold: None,
    };
    tokio::spawn(async move { opened.relay(local, &Limits::default(), None).await })
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Sends more data than fits into any buffer in both directions, finishes both, and checks what arrives.
async fn exchange(
    client: impl AsyncRead + AsyncWrite + Send + 'static,
    peer: impl AsyncRead + AsyncWrite + Send + 'static,
) {
    let data = b"there and back ".repeat(50_000);
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_peer, mut to_peer) = tokio::io::split(peer);
    let (up, down) = (data.clone(), data.clone());
    let writing = tokio::spawn(async move {
        tokio::join!(
            async {
                to_client.write_all(&up).await.unwrap();
                to_client.shutdown().await.unwrap();
            },
            async {
                to_peer.write_all(&down).await.unwrap();
                to_peer.shutdown().await.unwrap();
            }
        );
    });
    let (mut at_client, mut at_peer) = (Vec::new(), Vec::new());
    let reading =
        async { tokio::join!(from_client.read_to_end(&mut at_client), from_peer.read_to_end(&mut at_peer)) };
    let (read, also) = timeout(TIMEOUT, reading).await.unwrap();
    assert_eq!((read.unwrap(), also.unwrap()), (data.len() + 6, data.len()));
    timeout(TIMEOUT, writing).await.unwrap().unwrap();
    assert!(at_peer == data, "{} bytes at the peer", at_peer.len());
    assert!(
        at_client == [b"first ".as_slice(), &data.to_ascii_uppercase()].concat(),
        "{} bytes",
        at_client.len()
    );
}

#[tokio::test]
async fn streams_without_a_socket_are_relayed_both_ways_to_their_ends() {
    let ((client, local), (near, peer)) = (duplex(1000), duplex(1000));
    let (near, reset) = loud(near);
    let relayed = relay(Socket::plain(local), Socket::layered(near));
    exchange(client, peer).await;
    timeout(TIMEOUT, relayed).await.unwrap().unwrap().unwrap();
    assert!(!reset.load(Relaxed), "it ended");
}

#[tokio::test]
async fn a_filter_over_a_socket_is_relayed_to_a_socket() {
    let ((client, local), (near, peer)) = (tcp().await, tcp().await);
    let relayed = relay(local.into(), Socket::layered(loud(Socket::from(near)).0));
    exchange(client, peer).await;
    timeout(TIMEOUT, relayed).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_layered_stream_does_not_look_finished() {
    // A socket below the layer is reset.
    let ((client, local), (near, mut peer)) = (tcp().await, tcp().await);
    let relayed = relay(local.into(), Socket::layered(loud(Socket::from(near)).0));
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(timeout(TIMEOUT, relayed).await.unwrap().unwrap().is_err());
    let error = timeout(TIMEOUT, peer.read(&mut [0; 8])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    // Without a socket below, the layer is told to reset.
    let ((client, local), (near, _peer)) = (tcp().await, duplex(1000));
    let (near, reset) = loud(near);
    let relayed = relay(local.into(), Socket::layered(near));
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(timeout(TIMEOUT, relayed).await.unwrap().unwrap().is_err());
    assert!(reset.load(Relaxed));
}
