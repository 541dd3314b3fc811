//! The peers that a client sends datagrams to, and the names by which it knows them.

use std::collections::HashMap;

use i2p_name::{B32, Destination};
use socks_wire::{Address, Encode, udp};

use super::client_side::RSV_AND_FRAG;
use crate::{dial::DatagramSender, names::AddressLease};

/// Most targets that are remembered for one client. The least recently used one is forgotten first.
const MAX_PEERS: usize = 512;

/// The peers of one client, by the target that the client sends to and by the sender that the router reports.
pub(super) struct Peers<P> {
    /// The key is ATYP, DST.ADDR and DST.PORT as the client sends them.
    by_target: HashMap<Box<[u8]>, Peer<P>>,
    /// Each peer once, whatever the client calls it.
    known: HashMap<B32, KnownPeer>,
    /// The same peers, by destination and by hash, both in base64.
    by_sender: HashMap<Box<str>, B32>,
    clock: u64,
}

/// The peer behind a target.
pub(super) struct Peer<P> {
    /// The peer in the dialler's form.
    pub(super) peer: P,
    pub(super) port: u16,
    used: u64,
    /// Its address, whatever the client calls it.
    known: B32,
    /// Keeps the virtual address that stands for the peer from expiring.
    _address: Option<AddressLease>,
}

/// A peer that may send datagrams to the client.
struct KnownPeer {
    /// ATYP, address and port of the header that the client gets: the target that it used last for this peer.
    header: Box<[u8]>,
    /// The number of targets for this peer.
    targets: usize,
    /// What the router reports as its sender: the destination, or its hash.
    senders: [Box<str>; 2],
}

impl<P> Default for Peers<P> {
    fn default() -> Self {
        Self {
            by_target: HashMap::default(),
            known: HashMap::default(),
            by_sender: HashMap::default(),
            clock: 0,
        }
    }
}

impl<P> Peers<P> {
    /// The peer of a target; `None` if it has not been looked up. Datagrams from the peer carry this target from now on.
    pub(super) fn peer_of(&mut self, target: &[u8]) -> Option<&Peer<P>> {
        self.clock += 1;
        let peer = self.by_target.get_mut(target)?;
        peer.used = self.clock;
        if let Some(known) = self.known.get_mut(&peer.known)
            && *known.header != *target
        {
            known.header = target.into();
        }
        Some(peer)
    }

    /// Stores the result of a lookup.
    pub(super) fn insert(
        &mut self,
        target: &[u8],
        port: u16,
        (destination, peer): (&Destination, P),
        address: Option<AddressLease>,
    ) {
        if self.by_target.len() >= MAX_PEERS {
            self.forget_oldest();
        }
        self.remove(&Box::from(target));
        self.clock += 1;
        let who = destination.b32();
        let known = self.known.entry(who).or_insert_with(|| {
            let senders = sender_texts(destination);
            self.by_sender.extend(senders.iter().map(|sender| (sender.clone(), who)));
            KnownPeer { header: Box::default(), targets: 0, senders }
        });
        known.header = target.into();
        known.targets += 1;
        self.by_target
            .insert(target.into(), Peer { peer, port, used: self.clock, known: who, _address: address });
    }

    /// The header for a datagram from this sender to the client, without RSV and FRAG; `None` if the client has not sent anything
    /// to it.
    pub(super) fn header_for(&self, sender: DatagramSender<'_>) -> Option<&[u8]> {
        let known = match sender {
            DatagramSender::Destination(text) | DatagramSender::Hash(text) => {
                self.known.get(self.by_sender.get(text)?)?
            }
            DatagramSender::B32(b32) => self.known.get(&b32)?,
            // Raw datagrams do not name their sender. It is clear only if there is one peer.
            DatagramSender::Unknown if self.known.len() == 1 => self.known.values().next()?,
            DatagramSender::Unknown => return None,
        };
        Some(&known.header)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_target.iter().min_by_key(|(_, peer)| peer.used);
        if let Some(target) = oldest.map(|(target, _)| target.clone()) {
            self.remove(&target);
        }
    }

    fn remove(&mut self, target: &[u8]) {
        let Some(peer) = self.by_target.remove(target) else { return };
        let Some(known) = self.known.get_mut(&peer.known) else { return };
        known.targets -= 1;
        if known.targets == 0
            && let Some(known) = self.known.remove(&peer.known)
        {
            for sender in &known.senders {
                self.by_sender.remove(sender);
            }
        }
    }
}

/// What routers report as the sender: the destination, or its hash in datagrams of the third version.
fn sender_texts(destination: &Destination) -> [Box<str>; 2] {
    let hash = i2p_name::base64::encode(destination.b32().hash());
    [destination.to_base64().into(), hash.into()]
}

/// Encodes ATYP, address and port for a sender by its base32 address.
pub(super) fn header_by_hash(b32: &B32, port: u16) -> Vec<u8> {
    let text = b32.to_string();
    let header =
        udp::Header { fragment: udp::Fragment::STANDALONE, address: Address::Domain(text.as_bytes()), port };
    let mut bytes = [0; udp::Header::MAX_LENGTH];
    // A base32 address always fits.
    let length = header.encode(&mut bytes).unwrap_or_default();
    bytes.get(RSV_AND_FRAG.len()..length).unwrap_or_default().to_vec()
}
