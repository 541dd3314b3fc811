//! Whom a client sends datagrams to, and by which name it knows them.

use std::collections::HashMap;

use i2p_name::{B32, Destination};
use socks_wire::{Address, Encode, udp};

use crate::{dial::DatagramSender, names::AddressLease};

/// Peers that are remembered for one client; the one that was heard of least lately goes first.
const MAX_PEERS: usize = 512;
/// RSV and FRAG.
const PREFIX: usize = 3;

/// The peers of one client, by what it calls them and by what the router calls them.
pub(super) struct Peers<P> {
    /// By ATYP, DST.ADDR and DST.PORT, as the client writes them.
    by_target: HashMap<Box<[u8]>, Peer<P>>,
    /// Each once, whatever it is called.
    known: HashMap<B32, Known>,
    /// The same, by destination and by hash in base64.
    by_sender: HashMap<Box<str>, B32>,
    clock: u64,
}

/// Whom a datagram goes to.
pub(super) struct Peer<P> {
    /// As the dialler knows it.
    pub(super) peer: P,
    pub(super) port: u16,
    used: u64,
    /// Who that is, by whatever name.
    known: B32,
    /// An address of ours that stands for it keeps its meaning.
    _address: Option<AddressLease>,
}

/// A peer that may send to the client.
struct Known {
    /// ATYP, address and port of the header that the client gets: what it sent to last of all that leads here.
    header: Box<[u8]>,
    /// How many targets lead here.
    targets: usize,
    /// What a router calls it when it sends: as its destination, and as the hash of that.
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
    /// Whom this is to go to: nothing, if it has not been looked up yet. Answers are from this name and port from now on.
    pub(super) fn of_target(&mut self, target: &[u8]) -> Option<&Peer<P>> {
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

    /// Remembers what a target has turned out to be.
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
            let senders = senders(destination);
            self.by_sender.extend(senders.iter().map(|sender| (sender.clone(), who)));
            Known { header: Box::default(), targets: 0, senders }
        });
        known.header = target.into();
        known.targets += 1;
        self.by_target
            .insert(target.into(), Peer { peer, port, used: self.clock, known: who, _address: address });
    }

    /// What stands before a datagram from this peer on its way to the client, without RSV and FRAG: as the client called it.
    /// Nothing for whoever it has not sent anything to.
    pub(super) fn header_of(&self, sender: DatagramSender<'_>) -> Option<&[u8]> {
        let known = match sender {
            DatagramSender::Destination(text) | DatagramSender::Hash(text) => {
                self.known.get(self.by_sender.get(text)?)?
            }
            DatagramSender::B32(b32) => self.known.get(&b32)?,
            // Raw datagrams do not say it: clear only while there is one peer.
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

/// What routers call a destination that has sent something: whole, or, in datagrams of the third kind, by hash.
fn senders(destination: &Destination) -> [Box<str>; 2] {
    let hash = i2p_name::base64::encode(destination.b32().hash());
    [destination.to_base64().into(), hash.into()]
}

/// ATYP, address and port of somebody who was never asked anything: its base32 address.
pub(super) fn header_by_hash(b32: &B32, port: u16) -> Vec<u8> {
    let text = b32.to_string();
    let header =
        udp::Header { fragment: udp::Fragment::STANDALONE, address: Address::Domain(text.as_bytes()), port };
    let mut bytes = [0; udp::Header::MAX_LENGTH];
    // A base32 address is short enough for any header.
    let length = header.encode(&mut bytes).unwrap_or_default();
    bytes.get(PREFIX..length).unwrap_or_default().to_vec()
}
