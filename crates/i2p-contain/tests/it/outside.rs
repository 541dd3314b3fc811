//! The outside of the tests. The last byte of the target says what becomes of it; what is open leads to the same port of 127.0.0.1.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use i2p_contain::{
    gate::Refusal,
    network::{Datagram, DnsTransport, Outside, Replies},
    packet::Unreachable,
};
use tokio::{net::TcpStream, sync::Semaphore, time::sleep};

pub(crate) const OPEN: u8 = 1;
pub(crate) const REFUSED: u8 = 2;
pub(crate) const UNREACHABLE: u8 = 3;
pub(crate) const TIMED_OUT: u8 = 4;
pub(crate) const DENIED: u8 = 5;
pub(crate) const NO_NETWORK: u8 = 6;
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

impl Outside for TestOutside {
    type Stream = TcpStream;

    async fn dial(&self, _client: SocketAddr, target: SocketAddr) -> Result<TcpStream, Refusal> {
        let fate = match target.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let refusal = match fate {
            OPEN | SLOW => {
                if fate == SLOW {
                    LET_GO.acquire().await.unwrap().forget();
                }
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port())).await;
                let stream = stream.map_err(|_| Refusal::Refused)?;
                stream.set_nodelay(true).unwrap();
                return Ok(stream);
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
