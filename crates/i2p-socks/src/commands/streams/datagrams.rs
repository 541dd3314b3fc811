//! Datagrams between stdin, stdout and a peer.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use i2p_name::{B32, I2pName, Target};
use i2p_tunnel::{DatagramSender, Datagrams};
use socks_wire::{Address, Encode, stream::OwnedAddress, udp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::sleep,
};

use super::{asked::ConnectTarget, reply, running::RunningProxy};
use crate::{command_error::CommandError, terminal::output::wanted};

/// The longest UDP datagram, and the longest read of stdin.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// Carries datagrams to one peer and back.
trait DatagramPath {
    /// Sends a datagram. One that is too long is an error.
    async fn send(&self, data: &[u8]) -> Result<(), CommandError>;
    /// The next datagram of the peer. Cancel safe.
    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], CommandError>;
}

/// Through the UDP relay of the running proxy.
struct ProxyRelay {
    socket: UdpSocket,
    /// The SOCKS5 UDP header in front of each datagram.
    header: Vec<u8>,
    host: Vec<u8>,
}

impl DatagramPath for ProxyRelay {
    async fn send(&self, data: &[u8]) -> Result<(), CommandError> {
        let datagram = [&self.header, data].concat();
        self.socket.send(&datagram).await.map(|_| ()).map_err(|error| {
            CommandError::run_time(format_args!("cannot send a datagram of {} bytes: {error}", data.len()))
        })
    }

    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], CommandError> {
        let (start, end) = loop {
            let length = match self.socket.recv(buffer).await {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(proxy_gone()),
                Err(error) => return Err(CommandError::run_time(error)),
            };
            let Ok((header, data)) = udp::Header::split(buffer.get(..length).unwrap_or_default()) else {
                continue;
            };
            // A tunnel with incoming = true also delivers datagrams of other peers.
            let ours = matches!(header.address, Address::Domain(host) if host == self.host);
            if ours && header.fragment == udp::Fragment::STANDALONE {
                break (length - data.len(), length);
            }
        };
        Ok(buffer.get(start..end).unwrap_or_default())
    }
}

fn proxy_gone() -> CommandError {
    CommandError::run_time("the proxy has ended, so datagrams can no longer be sent: start it and try again")
}

/// Relays datagrams through the running proxy.
pub(in crate::commands) async fn through_proxy(
    proxy: &RunningProxy,
    asked: &ConnectTarget,
    linger: Duration,
) -> Result<(), CommandError> {
    // A destination does not fit into the header. Its hash does.
    let host = match name(asked)? {
        I2pName::Destination(destination) => destination.b32().to_string(),
        name => name.to_string(),
    };
    let mut granted = proxy.associate().await?;
    let Some((own, server)) = granted.socket.tcp_addresses() else { return Err(proxy_gone()) };
    let relay = match granted.address {
        OwnedAddress::Ip(ip) if !ip.is_unspecified() => ip,
        _ => server.ip(),
    };
    let socket = open(own.ip(), (relay, granted.port).into()).await.map_err(|error| {
        CommandError::run_time(format_args!("cannot open a UDP socket to the proxy: {error}"))
    })?;
    let address = Address::Domain(host.as_bytes());
    let header = udp::Header { fragment: udp::Fragment::STANDALONE, address, port: asked.port };
    let mut bytes = [0; udp::Header::MAX_LENGTH];
    let length = header.encode(&mut bytes).map_err(CommandError::run_time)?;
    let header = bytes.get(..length).unwrap_or_default().to_vec();
    let way = ProxyRelay { socket, header, host: host.into_bytes() };
    // The relay ends with the TCP connection on which it was requested.
    let ended = async {
        let mut ignored = [0; 64];
        while let Ok(1..) = granted.socket.read(&mut ignored).await {}
        Err(proxy_gone())
    };
    tokio::select! {
        result = relay_stdio(&way, linger) => result,
        result = ended => result,
    }
}

async fn open(own: IpAddr, relay: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((own, 0)).await?;
    // A connected socket receives datagrams of the relay only.
    socket.connect(relay).await?;
    Ok(socket)
}

/// On a session of this process.
struct SessionPath<'a, D: Datagrams> {
    way: &'a D,
    peer: D::Peer,
    address: B32,
    port: u16,
}

impl<D: Datagrams> DatagramPath for SessionPath<'_, D> {
    async fn send(&self, data: &[u8]) -> Result<(), CommandError> {
        let limit = self.way.max_payload();
        if data.len() > limit {
            return Err(CommandError::run_time(format_args!(
                "a datagram of {} bytes is too long: routers carry at most {limit}",
                data.len()
            )));
        }
        self.way
            .send(&self.peer, self.port, data)
            .await
            .map_err(|cause| CommandError::run_time(reply::explain(cause)))
    }

    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], CommandError> {
        let mut packet = vec![0; D::BUFFER_LENGTH];
        loop {
            let received = self.way.receive(&mut packet).await;
            let received = received.map_err(|cause| CommandError::run_time(reply::explain(cause)))?;
            let sender = received.sender;
            let length = received.payload.len();
            if (sender == DatagramSender::Unknown || sender.b32() == Some(self.address))
                && let Some(room) = buffer.get_mut(..length)
            {
                room.copy_from_slice(received.payload);
                return Ok(buffer.get(..length).unwrap_or_default());
            }
        }
    }
}

/// Relays datagrams on a session of this process.
pub(in crate::commands) async fn through_session(
    way: &impl Datagrams,
    asked: &ConnectTarget,
    linger: Duration,
) -> Result<(), CommandError> {
    let destination = way.destination(&name(asked)?).await;
    let destination = destination.map_err(|cause| CommandError::run_time(reply::explain(cause)))?;
    let way = SessionPath { way, peer: way.peer(&destination), address: destination.b32(), port: asked.port };
    relay_stdio(&way, linger).await
}

fn name(asked: &ConnectTarget) -> Result<I2pName, CommandError> {
    match &asked.target {
        Target::I2p(name) => Ok(name.clone()),
        _ => {
            Err(CommandError::run_time("datagrams can only go to hosts in I2P, and this host is outside I2P"))
        }
    }
}

/// Sends each read of stdin as a datagram and writes each datagram to stdout, until stdin has ended and none has arrived for
/// `linger`.
async fn relay_stdio(way: &impl DatagramPath, linger: Duration) -> Result<(), CommandError> {
    let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
    let (mut read, mut received) = (vec![0; MAX_DATAGRAM_BYTES], vec![0; MAX_DATAGRAM_BYTES]);
    let mut open = true;
    loop {
        tokio::select! {
            length = stdin.read(&mut read), if open => match length {
                Ok(0) | Err(_) => open = false,
                Ok(length) => way.send(read.get(..length).unwrap_or_default()).await?,
            },
            data = way.receive(&mut received) => {
                let data = data?;
                let written = async {
                    stdout.write_all(data).await?;
                    stdout.flush().await
                };
                if wanted(written.await)?.is_break() {
                    return Ok(());
                }
            }
            () = sleep(linger), if !open => return Ok(()),
        }
    }
}
