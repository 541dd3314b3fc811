//! What emissary-core asks of the world: sockets, time, tasks, randomness, gzip.
//!
//! emissary-util has an implementation for tokio, to which everything here is handed on, except three things that it
//! does in a way that hurts a daemon; each says why below.

use std::{
    future::Future,
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use emissary_core::runtime::{self as core, MetricType};
use emissary_util::runtime::tokio::Runtime as Inner;
use flate2::read::GzDecoder;
use rand::{CryptoRng, RngExt};
use tokio::time::Sleep;

type InnerTcpStream = <Inner as core::Runtime>::TcpStream;
type InnerTcpListener = <Inner as core::Runtime>::TcpListener;
type InnerUdpSocket = <Inner as core::Runtime>::UdpSocket;

/// More than any I2P message inflates to: an I2NP message has a length of 16 bits, and Java's router inflates to no more
/// than 40 KiB (`DataHelper.MAX_UNCOMPRESSED`). Without a limit, 60 KiB from a stranger become 60 MiB of our memory.
const MAX_INFLATED: usize = 64 * 1024;

/// How long a listener rests after a failed accept. Long enough not to spin while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Ethernet's MTU. Only the SSU2 transport would ask for it, and that is off.
const MTU: usize = 1500;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime;

impl core::Runtime for Runtime {
    type TcpStream = InnerTcpStream;
    type UdpSocket = UdpSocket;
    type TcpListener = TcpListener;
    type JoinSet<T: Send + 'static> = <Inner as core::Runtime>::JoinSet<T>;
    type MetricsHandle = <Inner as core::Runtime>::MetricsHandle;
    type Instant = <Inner as core::Runtime>::Instant;
    type Timer = <Inner as core::Runtime>::Timer;

    fn spawn<F>(future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        Inner::spawn(future);
    }

    fn time_since_epoch() -> Duration {
        Inner::time_since_epoch()
    }

    fn now() -> Self::Instant {
        Inner::now()
    }

    fn rng() -> impl CryptoRng + RngExt {
        Inner::rng()
    }

    fn join_set<T: Send + 'static>() -> Self::JoinSet<T> {
        Inner::join_set()
    }

    fn register_metrics(metrics: Vec<MetricType>, port: Option<u16>) -> Self::MetricsHandle {
        Inner::register_metrics(metrics, port)
    }

    fn timer(duration: Duration) -> Self::Timer {
        Inner::timer(duration)
    }

    fn delay(duration: Duration) -> impl Future<Output = ()> + Send {
        Inner::delay(duration)
    }

    fn gzip_compress(bytes: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        Inner::gzip_compress(bytes)
    }

    fn gzip_decompress(bytes: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut inflated = Vec::new();
        let limit = MAX_INFLATED as u64 + 1;
        GzDecoder::new(bytes.as_ref()).take(limit).read_to_end(&mut inflated).ok()?;
        (inflated.len() <= MAX_INFLATED).then_some(inflated)
    }
}

/// A UDP socket whose `bind` does not look for the machine's default network interface: emissary-util does, to learn an
/// MTU, and on a machine without a default route the SAM bridge then does not start.
#[derive(Clone)]
pub(crate) struct UdpSocket(InnerUdpSocket);

impl core::UdpSocket for UdpSocket {
    async fn bind(address: SocketAddr) -> Option<Self> {
        Self::bind_with_mtu(address, MTU).await
    }

    async fn bind_with_mtu(address: SocketAddr, mtu: usize) -> Option<Self> {
        InnerUdpSocket::bind_with_mtu(address, mtu).await.map(Self)
    }

    fn send_to(&mut self, buf: &[u8], target: SocketAddr) -> impl Future<Output = Option<usize>> + Send {
        self.0.send_to(buf, target)
    }

    fn recv_from(&mut self, buf: &mut [u8]) -> impl Future<Output = Option<(usize, SocketAddr)>> + Send {
        self.0.recv_from(buf)
    }

    fn poll_send_to(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<Option<usize>> {
        Pin::new(&mut self.0).poll_send_to(cx, buf, target)
    }

    fn poll_recv_from(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Option<(usize, SocketAddr)>> {
        Pin::new(&mut self.0).poll_recv_from(cx, buf)
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.0.local_address()
    }

    fn mtu(&self) -> usize {
        self.0.mtu()
    }
}

/// A TCP listener on loopback only, that outlives failed accepts.
///
/// emissary binds its NTCP2 transport to all interfaces. No router of this crate is to be dialled from another machine:
/// the client router is hidden and private networks live on 127.0.0.1. So `0.0.0.0` becomes `127.0.0.1` here.
///
/// emissary ends its SAM bridge at the first failed accept, and a moment without free file descriptors, quite possible
/// in a proxy, would end it for good. So a failed accept is tried again after a pause.
pub(crate) struct TcpListener {
    inner: InnerTcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

impl core::TcpListener<InnerTcpStream> for TcpListener {
    async fn bind(mut address: SocketAddr) -> Option<Self> {
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let inner = InnerTcpListener::bind(address).await?;
        Some(Self { inner, pause: None })
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<(InnerTcpStream, SocketAddr)>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.inner.poll_accept(cx)) {
                Some(accepted) => return Poll::Ready(Some(accepted)),
                None => self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE))),
            }
        }
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.inner.local_address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emissary_core::runtime::{Runtime as _, TcpListener as _};

    #[test]
    fn what_inflates_to_the_limit_passes_and_a_bomb_does_not() {
        let most = vec![0u8; MAX_INFLATED];
        let packed = Runtime::gzip_compress(&most).unwrap();
        assert!(Runtime::gzip_decompress(packed) == Some(most));
        let bomb = Runtime::gzip_compress(vec![0u8; 50 << 20]).unwrap();
        assert!(bomb.len() < 60_000);
        assert!(Runtime::gzip_decompress(bomb).is_none());
        assert_eq!(Runtime::gzip_decompress(b"no gzip"), None);
    }

    #[tokio::test]
    async fn listeners_are_on_loopback() {
        let listener = TcpListener::bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
        assert!(listener.local_address().unwrap().ip().is_loopback());
    }
}
