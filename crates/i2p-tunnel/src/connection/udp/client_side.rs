//! What all datagrams of an association share: the client's socket, its address, and the counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use i2p_name::Target;
use socks_wire::{
    stream::{OwnedAddress, OwnedRequest},
    udp,
};
use tokio::net::UdpSocket;

use crate::{
    account::{DatagramCounts, DropReason},
    names::{AddressOwner, AddressPool},
    outproxy::decode_datagram,
    stream::any_port_on,
};

/// The longest UDP datagram in bytes.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// RSV and FRAG, the first fields of a datagram's header.
pub(super) const RSV_AND_FRAG: [u8; 3] = [0; 3];

/// The client's side of an association.
#[derive(Clone)]
pub(super) struct ClientSide {
    pub(super) socket: Arc<UdpSocket>,
    /// The owner of the client's virtual addresses.
    pub(super) owner: AddressOwner,
    pub(super) addresses: AddressPool,
    counts: DatagramCounts,
    /// Changes whenever a datagram moves.
    activity: Arc<AtomicU64>,
}

impl ClientSide {
    pub(super) fn new(
        socket: UdpSocket,
        owner: AddressOwner,
        addresses: AddressPool,
        counts: DatagramCounts,
    ) -> Self {
        Self { socket: Arc::new(socket), owner, addresses, counts, activity: Arc::default() }
    }

    /// Notes that a datagram moves.
    pub(super) fn note_activity(&self) {
        self.activity.fetch_add(1, Relaxed);
    }

    /// A number that changes whenever a datagram moves.
    pub(super) fn activity(&self) -> u64 {
        self.activity.load(Relaxed)
    }

    /// Counts a datagram of this length that a peer gets.
    pub(super) fn count_to_peer(&self, payload: usize) {
        self.counts.count_to_peer(payload);
    }

    pub(super) fn count_drop(&self, why: DropReason) {
        self.counts.count_dropped(why);
    }

    /// Sends a datagram to the client, and counts it. `payload` is the length of its data without the header.
    pub(super) fn send(&self, client: SocketAddr, datagram: &[u8], payload: usize) {
        match self.socket.try_send_to(datagram, client) {
            Ok(_) => self.counts.count_to_client(payload),
            Err(_) => self.count_drop(DropReason::NotTaken),
        }
    }

    /// Forwards a datagram of an outproxy's relay with its header, which has the same form for clients.
    pub(super) fn forward_relayed(&self, client: SocketAddr, datagram: &[u8]) {
        self.note_activity();
        match decode_datagram(datagram).filter(|(sender, _)| !self.stands_for_i2p(sender)) {
            Some((_, data)) => self.send(client, datagram, data.len()),
            None => self.count_drop(DropReason::OutproxyReply),
        }
    }

    /// Whether a sender is an address that stands for an I2P name, or may come to.
    fn stands_for_i2p(&self, sender: &Target) -> bool {
        let Target::Ip(address) = sender else { return false };
        self.addresses.is_virtual(*address) || self.addresses.target_of(&self.owner, *address).is_some()
    }
}

/// Decides which datagrams are the client's.
pub(super) struct ClientSource {
    /// The address of its TCP connection. The port has no meaning here; for a link-local address, the interface counts.
    client: SocketAddr,
    /// The port that the client announced, or that its first datagram came from.
    port: Option<u16>,
}

impl ClientSource {
    /// Uses DST.ADDR and DST.PORT if they are set. Returns `None` if they name another host: its datagrams would not be the
    /// client's.
    pub(super) fn of(request: &OwnedRequest, client: SocketAddr) -> Option<Self> {
        let port = (request.port != 0).then_some(request.port);
        let client = any_port_on(client);
        match &request.address {
            OwnedAddress::Ip(ip) if ip.is_unspecified() || ip.to_canonical() == client.ip() => {
                Some(Self { client, port })
            }
            // Behind NAT, a client knows itself by another address than we do, and its port may differ too.
            OwnedAddress::Ip(_) => None,
            // Some clients send a meaningless name, such as "0".
            OwnedAddress::Domain(_) => Some(Self { client, port: None }),
        }
    }

    /// Whether a datagram is the client's. If the client announced no port, its first datagram sets it. Only a valid datagram
    /// does: otherwise any packet from another program on that host would lock the client out.
    pub(super) fn accepts(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        if from.ip().to_canonical() != self.client.ip() {
            return false;
        }
        if self.port.is_none() && udp::Header::split(datagram).is_ok() {
            self.port = Some(from.port());
        }
        self.port.is_none_or(|port| port == from.port())
    }

    /// The address to send datagrams to, once the port is known.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let mut client = self.client;
        client.set_port(self.port?);
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_client_is_answered_on_its_interface() {
        let request = OwnedRequest {
            protocol: socks_wire::Protocol::Socks5,
            command: socks_wire::Command::UDP_ASSOCIATE,
            address: OwnedAddress::Ip([0; 4].into()),
            port: 0,
            user_id: Vec::new(),
            credentials: None,
        };
        let mut source = ClientSource::of(&request, "[fe80::2%3]:50000".parse().unwrap()).unwrap();
        assert_eq!(source.address(), None);
        let from = "[fe80::2%3]:60000".parse().unwrap();
        assert!(source.accepts(from, &[0, 0, 0, 1, 127, 0, 0, 1, 0, 7]));
        assert_eq!(source.address(), Some(from));
    }
}
