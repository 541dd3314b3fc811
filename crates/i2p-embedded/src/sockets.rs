//! tokio's sockets behind emissary-core's traits.

use std::{
    future::Future,
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

/// How long a connection to another router may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a listener rests after a failed accept. Long enough not to spin while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Ethernet's MTU. Only the SSU2 transport would ask for it, and that is off.
const MTU: usize = 1500;

/// A TCP stream with `TCP_NODELAY`.
pub(crate) struct TcpStream(net::TcpStream);

impl core::TcpStream for TcpStream {
    async fn connect(address: SocketAddr) -> Option<Self> {
        match timeout(CONNECT_TIMEOUT, net::TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).ok()?;
                Some(Self(stream))
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
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer));
        Poll::Ready(read.map(|()| buffer.filled().len()).map_err(|error| failed(&error)))
    }
}

impl core::AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<emissary_core::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes).map_err(|error| failed(&error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<emissary_core::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(|error| failed(&error))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<emissary_core::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx).map_err(|error| failed(&error))
    }
}

/// A TCP listener on loopback only that survives failed accepts.
///
/// emissary binds its NTCP2 transport to all interfaces. Other machines must not reach a router of this crate: the client
/// router is hidden and private networks use 127.0.0.1. So `0.0.0.0` becomes `127.0.0.1` here.
///
/// emissary ends its SAM bridge at the first failed accept. In a proxy, a moment without free file descriptors can cause
/// one. So a failed accept is tried again after a pause.
pub(crate) struct TcpListener {
    inner: net::TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

impl core::TcpListener<TcpStream> for TcpListener {
    async fn bind(mut address: SocketAddr) -> Option<Self> {
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let socket = socket(address, Type::STREAM, Protocol::TCP).ok()?;
        // A restarted router can bind a port whose last connections are still in TIME_WAIT.
        socket.set_reuse_address(true).ok()?;
        socket.bind(&address.into()).ok()?;
        socket.listen(BACKLOG).ok()?;
        let inner = net::TcpListener::from_std(socket.into()).ok()?;
        Some(Self { inner, pause: None })
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<(TcpStream, SocketAddr)>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.inner.poll_accept(cx)) {
                Ok((stream, address)) if stream.set_nodelay(true).is_ok() => {
                    return Poll::Ready(Some((TcpStream(stream), address)));
                }
                // The client has already gone.
                Ok(_) => {}
                Err(_) => self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE))),
            }
        }
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.inner.local_addr().ok()
    }
}

/// A UDP socket. Clones share it.
#[derive(Clone)]
pub(crate) struct UdpSocket {
    inner: Arc<net::UdpSocket>,
    mtu: usize,
}

impl core::UdpSocket for UdpSocket {
    async fn bind(address: SocketAddr) -> Option<Self> {
        Self::bind_with_mtu(address, MTU).await
    }

    async fn bind_with_mtu(address: SocketAddr, mtu: usize) -> Option<Self> {
        let socket = socket(address, Type::DGRAM, Protocol::UDP).ok()?;
        socket.bind(&address.into()).ok()?;
        let inner = net::UdpSocket::from_std(socket.into()).ok()?;
        Some(Self { inner: Arc::new(inner), mtu })
    }

    async fn send_to(&mut self, bytes: &[u8], target: SocketAddr) -> Option<usize> {
        self.inner.send_to(bytes, target).await.ok()
    }

    async fn recv_from(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.inner.recv_from(buffer).await.ok()
    }

    fn poll_send_to(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
        target: SocketAddr,
    ) -> Poll<Option<usize>> {
        self.inner.poll_send_to(cx, bytes, target).map(Result::ok)
    }

    fn poll_recv_from(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Option<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let received = ready!(self.inner.poll_recv_from(cx, &mut buffer));
        Poll::Ready(received.ok().map(|sender| (buffer.filled().len(), sender)))
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.inner.local_addr().ok()
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
