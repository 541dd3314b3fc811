//! The UDP socket on which datagrams are exchanged with the bridge.

use std::{io, net::SocketAddr};

use tokio::net::UdpSocket;

use crate::{
    bridge::{Bridge, connection::Connection},
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
    pub(crate) async fn open(connection: &Connection, bridge: &Bridge) -> io::Result<Self> {
        let (own, peer) = connection.addresses()?;
        let to = match bridge.udp_address() {
            Some(address) => address,
            None => SocketAddr::new(peer.ip(), peer.port().saturating_sub(1)),
        };
        let socket = UdpSocket::bind((own.ip(), 0)).await?;
        let own = socket.local_addr()?;
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
