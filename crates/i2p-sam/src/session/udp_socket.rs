//! The UDP socket on which datagrams are exchanged with the bridge.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::UdpSocket;

use crate::{
    bridge::{Bridge, connection::Connection},
    error::Error,
    wire::{DatagramStyle, Ports, Style},
};

/// Our UDP socket, and the address of the bridge's.
pub(crate) struct DatagramSocket {
    pub(crate) socket: UdpSocket,
    own: SocketAddr,
    pub(crate) bridge: SocketAddr,
}

impl DatagramSocket {
    /// Opens a socket on the address from which we reach the bridge.
    pub(crate) async fn open(connection: &Connection, bridge: &Bridge) -> Result<Self, Error> {
        let tcp = connection.stream().tcp_addresses().map_err(Error::Udp)?;
        let (own, to) = match (bridge.udp_address(), tcp) {
            (Some(to), Some((own, _))) => (own.ip(), to),
            (Some(to), None) => (own_address_towards(to).await.map_err(Error::Udp)?, to),
            (None, Some((own, peer))) => {
                (own.ip(), SocketAddr::new(peer.ip(), peer.port().saturating_sub(1)))
            }
            (None, None) => return Err(Error::NoUdpAddress),
        };
        let socket = UdpSocket::bind((own, 0)).await.map_err(Error::Udp)?;
        let own = socket.local_addr().map_err(Error::Udp)?;
        Ok(Self { socket, own, bridge: to })
    }

    /// Whether a packet from this address is the bridge's. i2pd, Java I2P and emissary all send from the port at which they
    /// receive.
    pub(crate) fn is_bridge(&self, from: SocketAddr) -> bool {
        // An IPv6 address also holds a scope and flow information, which may differ.
        (from.ip(), from.port()) == (self.bridge.ip(), self.bridge.port())
    }

    /// The style of a session whose datagrams the bridge sends to this socket.
    pub(crate) fn style(&self, style: DatagramStyle, ports: Ports) -> Style {
        Style::Datagrams { style, forward_to: self.own, ports }
    }
}

/// The address from which this machine sends to `to`. Sends nothing.
async fn own_address_towards(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}
