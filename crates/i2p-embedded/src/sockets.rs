//! tokio's sockets behind emissary-core's traits.

use std::{
    future::{Future, pending},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use emissary_core::{Error, runtime as core};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net,
    time::{Sleep, timeout},
};

#[cfg(unix)]
use crate::handed_streams;

/// How long a connection to another router may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a listener rests after a failed accept. Long enough not to spin while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Ethernet's MTU. Only the SSU2 transport would ask for it, and that is off.
const MTU: usize = 1500;

/// A TCP stream with `TCP_NODELAY`, or a stream of a SAM client that was handed over.
pub(crate) enum TcpStream {
    Tcp(net::TcpStream),
    #[cfg(unix)]
    Handed(net::UnixStream),
}

impl core::TcpStream for TcpStream {
    async fn connect(address: SocketAddr) -> Option<Self> {
        match timeout(CONNECT_TIMEOUT, net::TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).ok()?;
                Some(Self::Tcp(stream))
            }
            Ok(Err(error)) => {
                tracing::debug!(target: "emissary::i2p-embedded", %address, %error, "could not connect");
                None
            }
            Err(_) => {
                tracing::debug!(target: "emissary::i2p-embedded", %address, "no connection within {CONNECT_TIMEOUT:?}");
                None
            }
        }
    }
}

fn failed(error: &io::Error) -> Error {
    Error::Custom(error.to_string())
}

impl core::AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<emissary_core::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = ready!(match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            #[cfg(unix)]
            Self::Handed(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        });
        Poll::Ready(read.map(|()| buffer.filled().len()).map_err(|error| failed(&error)))
    }
}

impl core::AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<emissary_core::Result<usize>> {
        let written = match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Handed(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        written.map_err(|error| failed(&error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<emissary_core::Result<()>> {
        let flushed = match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(unix)]
            Self::Handed(stream) => Pin::new(stream).poll_flush(cx),
        };
        flushed.map_err(|error| failed(&error))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<emissary_core::Result<()>> {
        let closed = match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Handed(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        closed.map_err(|error| failed(&error))
    }
}

/// Accepts connections.
///
/// emissary binds its NTCP2 transport to all interfaces. Other machines must not reach a router of this crate: the client
/// router is hidden and private networks use 127.0.0.1. So `0.0.0.0` becomes `127.0.0.1` here.
///
/// emissary ends its SAM bridge at the first failed accept. In a proxy, a moment without free file descriptors can cause
/// one. So a failed accept is tried again after a pause.
pub(crate) enum TcpListener {
    /// A TCP port on loopback.
    Port(net::TcpListener, Option<Pin<Box<Sleep>>>),
    /// What another process hands over.
    #[cfg(unix)]
    Handed(handed_streams::HandedStreams),
    /// Nothing, in a router without ports.
    #[cfg(unix)]
    Closed,
}

/// The address that a listener without a port tells emissary, which prints it and uses it for nothing else.
const NO_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

impl TcpListener {
    /// The listener of a router without ports: its SAM bridge, the only one on a loopback address, gets what is handed over.
    #[cfg(unix)]
    fn without_port(address: SocketAddr) -> Self {
        let handed = if address.ip().is_loopback() { handed_streams::take() } else { None };
        handed.map_or(Self::Closed, Self::Handed)
    }

    fn bind_port(mut address: SocketAddr) -> io::Result<Self> {
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let socket = socket(address, Type::STREAM, Protocol::TCP)?;
        // A restarted router can bind a port whose last connections are still in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self::Port(net::TcpListener::from_std(socket.into())?, None))
    }
}

impl core::TcpListener<TcpStream> for TcpListener {
    async fn bind(address: SocketAddr) -> Option<Self> {
        #[cfg(unix)]
        if handed_streams::are_used_instead_of_ports() {
            return Some(Self::without_port(address));
        }
        Self::bind_port(address).ok()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<(TcpStream, SocketAddr)>> {
        match self {
            Self::Port(listener, pause) => poll_accept_port(listener, pause, cx).map(Some),
            #[cfg(unix)]
            Self::Handed(streams) => {
                streams.poll_next(cx).map(|stream| Some((TcpStream::Handed(stream?), NO_PORT)))
            }
            #[cfg(unix)]
            Self::Closed => Poll::Pending,
        }
    }

    fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Port(listener, _) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Handed(_) | Self::Closed => Some(NO_PORT),
        }
    }
}

fn poll_accept_port(
    listener: &net::TcpListener,
    pause: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<(TcpStream, SocketAddr)> {
    loop {
        if let Some(until) = pause {
            ready!(until.as_mut().poll(cx));
            *pause = None;
        }
        match ready!(listener.poll_accept(cx)) {
            Ok((stream, address)) if stream.set_nodelay(true).is_ok() => {
                return Poll::Ready((TcpStream::Tcp(stream), address));
            }
            // The client has already gone.
            Ok(_) => {}
            Err(_) => *pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE))),
        }
    }
}

/// A UDP socket. Clones share it. A router without ports has none: it sends nothing and receives nothing.
#[derive(Clone)]
pub(crate) struct UdpSocket {
    inner: Option<Arc<net::UdpSocket>>,
    mtu: usize,
}

impl UdpSocket {
    fn bind_port(address: SocketAddr) -> io::Result<net::UdpSocket> {
        let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
        socket.bind(&address.into())?;
        net::UdpSocket::from_std(socket.into())
    }
}

impl core::UdpSocket for UdpSocket {
    async fn bind(address: SocketAddr) -> Option<Self> {
        Self::bind_with_mtu(address, MTU).await
    }

    async fn bind_with_mtu(address: SocketAddr, mtu: usize) -> Option<Self> {
        #[cfg(unix)]
        if handed_streams::are_used_instead_of_ports() {
            return Some(Self { inner: None, mtu });
        }
        Some(Self { inner: Some(Arc::new(Self::bind_port(address).ok()?)), mtu })
    }

    async fn send_to(&mut self, bytes: &[u8], target: SocketAddr) -> Option<usize> {
        match &self.inner {
            Some(socket) => socket.send_to(bytes, target).await.ok(),
            None => Some(bytes.len()),
        }
    }

    async fn recv_from(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match &self.inner {
            Some(socket) => socket.recv_from(buffer).await.ok(),
            None => pending().await,
        }
    }

    fn poll_send_to(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
        target: SocketAddr,
    ) -> Poll<Option<usize>> {
        match &self.inner {
            Some(socket) => socket.poll_send_to(cx, bytes, target).map(Result::ok),
            None => Poll::Ready(Some(bytes.len())),
        }
    }

    fn poll_recv_from(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Option<(usize, SocketAddr)>> {
        let Some(socket) = &self.inner else { return Poll::Pending };
        let mut buffer = ReadBuf::new(buffer);
        let received = ready!(socket.poll_recv_from(cx, &mut buffer));
        Poll::Ready(received.ok().map(|sender| (buffer.filled().len(), sender)))
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.inner.as_ref().map_or(Some(NO_PORT), |socket| socket.local_addr().ok())
    }

    fn mtu(&self) -> usize {
        self.mtu
    }
}

/// Creates a non-blocking socket for this kind of address. A socket for IPv6 accepts no IPv4.
fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use emissary_core::runtime::TcpListener as _;

    #[tokio::test]
    async fn listeners_are_on_loopback() {
        let listener = TcpListener::bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
        assert!(listener.local_address().unwrap().ip().is_loopback());
    }
}
