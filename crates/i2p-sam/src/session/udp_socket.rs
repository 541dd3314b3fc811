//! Our UDP socket beside the bridge.

use std::{io, net::SocketAddr};

use tokio::net::UdpSocket;

use crate::{
    bridge::{Bridge, connection::Connection},
    wire::{DatagramStyle, Ports, Style},
};

/// Our UDP socket and the bridge's.
pub(crate) struct Socket {
    pub(crate) socket: UdpSocket,
    own: SocketAddr,
    pub(crate) bridge: SocketAddr,
}

impl Socket {
    /// A socket on the address by which we reach the bridge.
    pub(crate) async fn beside(connection: &Connection, bridge: &Bridge) -> io::Result<Self> {
        let (own, peer) = connection.addresses()?;
        let to = match bridge.udp_address() {
            Some(address) => address,
            None => SocketAddr::new(peer.ip(), peer.port().saturating_sub(1)),
        };
        let socket = UdpSocket::bind((own.ip(), 0)).await?;
        let own = socket.local_addr()?;
        Ok(Self { socket, own, bridge: to })
    }

    /// Whether a packet from there is the bridge's. i2pd, Java I2P and emissary all send from the port that they receive at.
    pub(crate) fn is_bridge(&self, from: SocketAddr) -> bool {
        // What else an address of IPv6 holds may differ.
        (from.ip(), from.port()) == (self.bridge.ip(), self.bridge.port())
    }

    pub(crate) fn style(&self, style: DatagramStyle, ports: Ports) -> Style {
        Style::Datagrams { style, forward_to: self.own, ports }
    }
}
