//! What all datagrams of an association share: the client's socket, and the counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use i2p_name::Target;
use tokio::net::UdpSocket;

use super::source::ReturnAddress;
use crate::{
    account::{DatagramCounts, DropReason},
    names::{AddressOwner, AddressPool},
    outproxy::{ExitUser, decode_datagram},
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
        match decode_datagram(datagram).filter(|(sender, ..)| !self.stands_for_i2p(sender)) {
            Some((.., data)) => self.send(client, datagram, data.len()),
            None => self.count_drop(DropReason::OutproxyReply),
        }
    }

    /// Whether a sender is an address that stands for an I2P name, or may come to.
    fn stands_for_i2p(&self, sender: &Target) -> bool {
        let Target::Ip(address) = sender else { return false };
        self.addresses.is_virtual(*address) || self.addresses.target_of(&self.owner, *address).is_some()
    }
}

/// A client of relays of outproxies, which gets their datagrams as they are.
#[derive(Clone)]
pub(super) struct RelayClient {
    pub(super) side: ClientSide,
    pub(super) address: ReturnAddress,
}

impl ExitUser for RelayClient {
    fn sent(&self, payload: usize) {
        self.side.count_to_peer(payload);
    }

    fn dropped(&self, why: DropReason) {
        self.side.count_drop(why);
    }

    fn received(&self, datagram: &[u8]) {
        if let Some(client) = self.address.get() {
            self.side.forward_relayed(client, datagram);
        }
    }
}
