//! Datagrams between stdin and stdout and a peer.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use i2p_name::{B32, I2pName, Target};
use i2p_tunnel::{DatagramSender, Datagrams, SamDatagrams};
use socks_wire::{Address, Encode, stream::OwnedAddress, udp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::sleep,
};

use super::{asked::Asked, reply, running::RunningProxy};
use crate::failure::Failure;

/// The longest datagram over UDP, and the longest read of stdin.
const MAX_DATAGRAM: usize = 65_535;

/// What carries datagrams to one peer and back.
trait Way {
    /// Sends one; one that is too long is an error.
    async fn send(&self, data: &[u8]) -> Result<(), Failure>;
    /// The next one of the peer. Safe to drop and to call again.
    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Failure>;
}

/// Through a proxy's relay.
struct Relay {
    socket: UdpSocket,
    /// What stands before each datagram: where to, and on the way back, where from.
    header: Vec<u8>,
    host: Vec<u8>,
}

impl Way for Relay {
    async fn send(&self, data: &[u8]) -> Result<(), Failure> {
        let datagram = [&self.header, data].concat();
        self.socket.send(&datagram).await.map(|_| ()).map_err(|error| {
            Failure::run_time(format_args!("a datagram of {} bytes cannot be sent: {error}", data.len()))
        })
    }

    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Failure> {
        let (start, end) = loop {
            let length = match self.socket.recv(buffer).await {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(proxy_gone()),
                Err(error) => return Err(Failure::run_time(error)),
            };
            let Ok((header, data)) = udp::Header::split(buffer.get(..length).unwrap_or_default()) else {
                continue;
            };
            // A tunnel that takes datagrams of anybody gives us those of others, too.
            let ours = matches!(header.address, Address::Domain(host) if host == self.host);
            if ours && header.fragment == udp::Fragment::STANDALONE {
                break (length - data.len(), length);
            }
        };
        Ok(buffer.get(start..end).unwrap_or_default())
    }
}

fn proxy_gone() -> Failure {
    Failure::run_time("the proxy has ended, and the datagrams with it: start it, and try again")
}

/// Through the proxy that runs.
pub(in crate::commands) async fn through_proxy(
    proxy: &RunningProxy,
    asked: &Asked,
    linger: Duration,
) -> Result<(), Failure> {
    // A destination does not fit into the header; its hash does.
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
        Failure::run_time(format_args!("no UDP socket for the way to the proxy: {error}"))
    })?;
    let address = Address::Domain(host.as_bytes());
    let header = udp::Header { fragment: udp::Fragment::STANDALONE, address, port: asked.port };
    let mut bytes = [0; udp::Header::MAX_LENGTH];
    let length = header.encode(&mut bytes).map_err(Failure::run_time)?;
    let header = bytes.get(..length).unwrap_or_default().to_vec();
    let way = Relay { socket, header, host: host.into_bytes() };
    // The relay ends with the stream on which it was asked for.
    let ended = async {
        let mut thrown_away = [0; 64];
        while let Ok(1..) = granted.socket.read(&mut thrown_away).await {}
        Err(proxy_gone())
    };
    tokio::select! {
        result = relay_stdio(&way, linger) => result,
        result = ended => result,
    }
}

async fn open(own: IpAddr, relay: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((own, 0)).await?;
    // Nobody else's datagrams come in then.
    socket.connect(relay).await?;
    Ok(socket)
}

/// On a session of our own.
struct OnSession<'a> {
    way: &'a SamDatagrams,
    peer: <SamDatagrams as Datagrams>::Peer,
    address: B32,
    port: u16,
}

impl Way for OnSession<'_> {
    async fn send(&self, data: &[u8]) -> Result<(), Failure> {
        let limit = self.way.max_payload();
        if data.len() > limit {
            return Err(Failure::run_time(format_args!(
                "a datagram of {} bytes is too long: routers carry {limit}",
                data.len()
            )));
        }
        self.way.send(&self.peer, self.port, data).await.map_err(|cause| Failure::run_time(reply::own(cause)))
    }

    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Failure> {
        let mut packet = vec![0; SamDatagrams::BUFFER_LENGTH];
        loop {
            let received = self.way.receive(&mut packet).await;
            let received = received.map_err(|cause| Failure::run_time(reply::own(cause)))?;
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

/// On a session of our own.
pub(in crate::commands) async fn through_session(
    way: &SamDatagrams,
    asked: &Asked,
    linger: Duration,
) -> Result<(), Failure> {
    let destination = way.destination(&name(asked)?).await;
    let destination = destination.map_err(|cause| Failure::run_time(reply::own(cause)))?;
    let way = OnSession { way, peer: way.peer(&destination), address: destination.b32(), port: asked.port };
    relay_stdio(&way, linger).await
}

fn name(asked: &Asked) -> Result<I2pName, Failure> {
    match &asked.target {
        Target::I2p(name) => Ok(name.clone()),
        _ => Err(Failure::run_time("datagrams go to names in I2P alone: that host is not of I2P")),
    }
}

/// Each read of stdin is a datagram, and each datagram a write to stdout, until stdin has ended and nothing has come for a while.
async fn relay_stdio(way: &impl Way, linger: Duration) -> Result<(), Failure> {
    let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
    let (mut read, mut received) = (vec![0; MAX_DATAGRAM], vec![0; MAX_DATAGRAM]);
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
                written.await.map_err(|error| {
                    Failure::run_time(format_args!("cannot write to stdout: {error}"))
                })?;
            }
            () = sleep(linger), if !open => return Ok(()),
        }
    }
}
