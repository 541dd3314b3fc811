//! The outside of the tests. The last byte of the target says what becomes of it; what is open leads to the same port of 127.0.0.1.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use i2p_contain::{
    gate::Refusal,
    network::{Datagram, DnsTransport, Outside, OutsideStream, Replies},
    packet::Unreachable,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Semaphore,
    time::sleep,
};

pub(crate) const OPEN: u8 = 1;
pub(crate) const REFUSED: u8 = 2;
pub(crate) const UNREACHABLE: u8 = 3;
pub(crate) const TIMED_OUT: u8 = 4;
pub(crate) const DENIED: u8 = 5;
pub(crate) const NO_NETWORK: u8 = 6;
/// Open as well, as a stream that is not just a socket to the network.
pub(crate) const LAYERED: u8 = 7;
/// Never answers. [`SILENT_DIALS`] counts them.
pub(crate) const SILENT: u8 = 8;
/// Open, once [`LET_GO`] lets it.
pub(crate) const SLOW: u8 = 9;
/// Datagrams to this port come back. Other ports are prohibited.
pub(crate) const ECHO_PORT: u16 = 7;

/// As long as a short dial takes. A program that connects is asleep by then.
const DIAL: Duration = Duration::from_millis(20);
/// Lets dials of [`SLOW`] end, one for each permit.
pub(crate) static LET_GO: Semaphore = Semaphore::const_new(0);

/// The dials of [`SILENT`] that were not given up yet.
pub(crate) static SILENT_DIALS: AtomicUsize = AtomicUsize::new(0);

/// Counts a dial for as long as it lasts.
struct SilentDial;

impl SilentDial {
    fn new() -> Self {
        SILENT_DIALS.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for SilentDial {
    fn drop(&mut self) {
        SILENT_DIALS.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct TestOutside;

/// A connection of the tests.
#[derive(Debug)]
pub(crate) struct TestStream {
    stream: TcpStream,
    is_layered: bool,
}

impl OutsideStream for TestStream {
    fn abort(self) {
        self.stream.abort();
    }

    fn socket(&self) -> Option<i2p_contain::network::Socket<'_>> {
        self.stream.socket().filter(|_| !self.is_layered)
    }
}

impl AsyncRead for TestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Outside for TestOutside {
    type Stream = TestStream;

    async fn dial(&self, _client: SocketAddr, target: SocketAddr) -> Result<TestStream, Refusal> {
        let fate = match target.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let refusal = match fate {
            OPEN | LAYERED | SLOW => {
                if fate == SLOW {
                    LET_GO.acquire().await.unwrap().forget();
                }
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port())).await;
                let stream = stream.map_err(|_| Refusal::Refused)?;
                stream.set_nodelay(true).unwrap();
                return Ok(TestStream { stream, is_layered: fate == LAYERED });
            }
            SILENT => {
                let _counted = SilentDial::new();
                return std::future::pending().await;
            }
            REFUSED => Refusal::Refused,
            UNREACHABLE => Refusal::HostUnreachable,
            TIMED_OUT => Refusal::TimedOut,
            NO_NETWORK => Refusal::NetworkUnreachable,
            _ => Refusal::Denied,
        };
        sleep(DIAL).await;
        Err(refusal)
    }

    async fn resolve(&self, query: Vec<u8>, transport: DnsTransport) -> Option<Vec<u8>> {
        let name = if transport == DnsTransport::Udp { &b"udp:"[..] } else { b"tcp:" };
        Some([name, &query].concat())
    }

    fn datagram(&self, datagram: Datagram, replies: &Replies) -> Result<(), Unreachable> {
        if datagram.target.port() != ECHO_PORT {
            return Err(Unreachable::Prohibited);
        }
        replies.send(datagram);
        Ok(())
    }
}
