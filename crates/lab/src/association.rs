//! A client of UDP ASSOCIATE (RFC 1928 section 7), which shares no code with the proxy.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// RSV, FRAG and ATYP before a name, whose length follows.
const NAME_HEADER: [u8; 4] = [0, 0, 0, 3];
/// The port to which datagrams are sent. i2pd drops it.
const PORT: u16 = 7;
/// How long the reply may take. i2pd needs 20 s or more for a new session, and the proxy gives up after 120 s.
const REPLY_TIMEOUT: Duration = Duration::from_secs(150);

/// An open association. It ends when this is dropped.
pub struct Association {
    _control: TcpStream,
    socket: UdpSocket,
    relay: SocketAddr,
    /// The header of each datagram.
    header: Vec<u8>,
    buffer: Vec<u8>,
}

impl Association {
    /// Asks the proxy for a relay for datagrams to `host`.
    pub async fn open(proxy: &str, host: &str) -> Result<Self> {
        let mut control = TcpStream::connect(proxy).await?;
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        let mut reply = [0; 12];
        let replied = timeout(REPLY_TIMEOUT, control.read_exact(&mut reply)).await;
        replied.context("the proxy does not reply to UDP ASSOCIATE")??;
        let [5, 0, 5, 0, 0, 1, a, b, c, d, high, low] = reply else { bail!("the proxy answered {reply:?}") };
        let relay = SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])));
        let length = u8::try_from(host.len()).context("a long name")?;
        let header = [&NAME_HEADER[..], &[length], host.as_bytes(), &PORT.to_be_bytes()].concat();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { _control: control, socket, relay, header, buffer: vec![0; 65_535] })
    }

    /// Sends a datagram once.
    pub async fn send(&self, data: &[u8]) -> Result<()> {
        self.socket.send_to(&[&self.header, data].concat(), self.relay).await?;
        Ok(())
    }

    /// Sends a datagram from another socket, which the relay does not know.
    pub async fn send_as_stranger(&self, from: Ipv4Addr, data: &[u8]) -> Result<UdpSocket> {
        let stranger = UdpSocket::bind((from, 0)).await?;
        stranger.send_to(&[&self.header, data].concat(), self.relay).await?;
        Ok(stranger)
    }

    /// Receives the next datagram, or nothing within the limit. Fails for a datagram that is not from the relay, or whose header
    /// names another host.
    pub async fn receive(&mut self, limit: Duration) -> Result<Option<&[u8]>> {
        let Ok(received) = timeout(limit, self.socket.recv_from(&mut self.buffer)).await else {
            return Ok(None);
        };
        let (length, from) = received?;
        ensure!(from == self.relay, "a datagram came from {from}, not from {}", self.relay);
        let datagram = self.buffer.get(..length).unwrap_or_default();
        let data = datagram.strip_prefix(self.header.as_slice());
        Ok(Some(data.context("the header of a datagram differs from that of what was sent")?))
    }
}
