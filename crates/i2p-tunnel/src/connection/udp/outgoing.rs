//! Datagrams from the client to its peers: in I2P after a lookup, outside by outproxies.

use std::{net::SocketAddr, sync::Arc};

use i2p_name::{Destination, I2pName, Target};
use socks_wire::{Reassembled, Reassembly, udp};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    client_side::{ClientSide, RSV_AND_FRAG, RelayClient},
    peers::Peers,
    queue::Queue,
    source::ClientSource,
};
use crate::{
    account::DropReason,
    client::IsolationKey,
    connection::service::Service,
    dial::{Datagrams, Dial},
    failure::Failure,
    names::{self, AddressLease},
    outproxy::Exits,
};

/// The longest datagram that is reassembled from fragments.
const MAX_REASSEMBLED: usize = 40 * 1024;
/// Most datagrams in a row before other work gets its turn.
const MAX_BURST: usize = 32;

/// The session that carries the datagrams is lost.
pub(super) struct SessionLost;

/// Sends the client's datagrams to their targets.
///
/// Its methods take the channel into I2P. Without one, only datagrams to hosts outside I2P are sent.
pub(super) struct Outgoing<'a, D: Dial> {
    side: ClientSide,
    service: &'a Service<D>,
    source: ClientSource,
    /// Relays of outproxies, if there are routes.
    exits: Option<Exits<RelayClient>>,
    peers: Peers<<D::Datagrams as Datagrams>::Peer>,
    queue: Queue,
    lookups: JoinSet<LookupResult>,
    reassembly: Option<Reassembly>,
    begin: Instant,
}

/// The result of a lookup.
pub(super) struct LookupResult {
    target: Box<[u8]>,
    port: u16,
    destination: Result<Destination, Failure>,
    address: Option<AddressLease>,
}

impl<'a, D: Dial> Outgoing<'a, D> {
    pub(super) fn new(
        side: ClientSide,
        source: ClientSource,
        key: &IsolationKey,
        service: &'a Service<D>,
    ) -> Self {
        let exits = service.routing.has_routes().then(|| {
            let user = RelayClient { side: side.clone(), address: source.address().clone() };
            Exits::new(service.routing.clone(), key.clone(), user)
        });
        let reassembly = service
            .datagrams
            .reassemble_fragments
            .then(|| Reassembly::new(Reassembly::MIN_TIMEOUT, MAX_REASSEMBLED));
        Self {
            side,
            service,
            source,
            exits,
            peers: Peers::default(),
            queue: Queue::default(),
            lookups: JoinSet::new(),
            reassembly,
            begin: Instant::now(),
        }
    }

    /// The address of the client, once its port is known.
    pub(super) fn client_address(&self) -> Option<SocketAddr> {
        self.source.address().get()
    }

    /// The peers that the client has sent datagrams to.
    pub(super) fn peers(&self) -> &Peers<<D::Datagrams as Datagrams>::Peer> {
        &self.peers
    }

    /// Receives datagrams from the client, up to a limit, and sends them.
    pub(super) async fn send_burst(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        buffer: &mut [u8],
    ) -> Result<(), SessionLost> {
        for _ in 0..MAX_BURST {
            match self.side.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if self.source.accepts(from, datagram) {
                        self.reassemble(channel, datagram).await?;
                    } else {
                        self.side.count_drop(DropReason::NotTheClient);
                    }
                }
                // This may also be an error that an earlier datagram of ours caused. The client's port may open again.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits for a lookup to end. Returns `None` if none is under way.
    pub(super) async fn next_lookup(&mut self) -> Option<LookupResult> {
        loop {
            // A lookup that was aborted has no result.
            if let Ok(found) = self.lookups.join_next().await? {
                return Some(found);
            }
        }
    }

    /// Sends the datagrams that waited for a lookup.
    pub(super) async fn finish_lookup(
        &mut self,
        channel: &D::Datagrams,
        found: LookupResult,
    ) -> Result<(), SessionLost> {
        let LookupResult { target, port, destination, address } = found;
        let queued = self.queue.take(&target);
        match destination {
            Ok(destination) => {
                let peer = channel.peer(&destination);
                self.peers.insert(&target, port, (&destination, peer), address);
                for data in queued {
                    self.send_to_peer(channel, &target, &data).await?;
                }
            }
            Err(_) => queued.iter().for_each(|_| self.side.count_drop(DropReason::Unresolved)),
        }
        Ok(())
    }

    /// Ends the lookups of a lost session, and drops the datagrams that wait for them.
    pub(super) fn abort_lookups(&mut self) {
        self.lookups.abort_all();
        (0..self.queue.clear()).for_each(|_| self.side.count_drop(DropReason::NoSession));
    }

    /// Sends a datagram of the client, or keeps it until its other fragments are there.
    async fn reassemble(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        datagram: &[u8],
    ) -> Result<(), SessionLost> {
        let Some(reassembly) = &mut self.reassembly else {
            return self.send(channel, datagram).await;
        };
        match reassembly.push(self.begin.elapsed(), datagram) {
            Ok(Reassembled::Standalone(whole)) => self.send(channel, whole).await,
            Ok(Reassembled::Complete(whole)) => self.send(channel, &whole).await,
            Ok(Reassembled::Kept) => Ok(()),
            Ok(Reassembled::Dropped) => {
                self.side.count_drop(DropReason::Fragment);
                Ok(())
            }
            Err(_) => {
                self.side.count_drop(DropReason::Malformed);
                Ok(())
            }
        }
    }

    /// Sends a complete datagram, which begins with its header.
    async fn send(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        datagram: &[u8],
    ) -> Result<(), SessionLost> {
        let sent = match udp::Header::split(datagram) {
            Err(_) => Err(DropReason::Malformed),
            Ok((header, _)) if header.fragment != udp::Fragment::STANDALONE => Err(DropReason::Fragment),
            Ok((header, data)) => {
                let target =
                    datagram.get(RSV_AND_FRAG.len()..datagram.len() - data.len()).unwrap_or_default();
                match channel {
                    Some(channel) if self.peers.peer_of(target).is_some() => {
                        match check_length(&**channel, data) {
                            Ok(()) => return self.send_to_peer(channel, target, data).await,
                            Err(dropped) => Err(dropped),
                        }
                    }
                    channel => self.send_first(channel, target, &header, data),
                }
            }
        };
        if let Err(dropped) = sent {
            self.side.count_drop(dropped);
        }
        Ok(())
    }

    /// Sends to a target for the first time: after a lookup for an I2P name, or by an outproxy.
    fn send_first(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        target: &[u8],
        header: &udp::Header<'_>,
        data: &[u8],
    ) -> Result<(), DropReason> {
        let named = names::target_to_dial(&header.address.into(), &self.side.owner, &self.side.addresses);
        match named.map_err(|_| DropReason::NotAllowed)? {
            (Target::I2p(name), address) => {
                let channel = channel.ok_or(DropReason::NoSession)?;
                check_length(&**channel, data)?;
                self.look_up(channel, (target, header.port), (name, address), data)
            }
            (outside, _) => {
                let exits = self.exits.as_mut().ok_or(DropReason::NotAllowed)?;
                exits.send((&outside, header.port), data)
            }
        }
    }

    /// Sends to a known peer.
    async fn send_to_peer(
        &mut self,
        channel: &D::Datagrams,
        target: &[u8],
        data: &[u8],
    ) -> Result<(), SessionLost> {
        let Some(peer) = self.peers.peer_of(target) else { return Ok(()) };
        match channel.send(&peer.peer, peer.port, data).await {
            Ok(()) => self.side.count_to_peer(data.len()),
            Err(Failure::RouterUnavailable) => {
                self.side.count_drop(DropReason::NoSession);
                return Err(SessionLost);
            }
            Err(_) => self.side.count_drop(DropReason::NotTaken),
        }
        Ok(())
    }

    /// Starts a lookup, or queues the datagram for a lookup that is under way.
    fn look_up(
        &mut self,
        channel: &Arc<D::Datagrams>,
        (target, port): (&[u8], u16),
        (name, address): (I2pName, Option<AddressLease>),
        data: &[u8],
    ) -> Result<(), DropReason> {
        if !self.queue.push(target, data)? {
            return Ok(());
        }
        let (channel, target) = (Arc::clone(channel), Box::from(target));
        let limit = self.service.limits.dial;
        self.lookups.spawn(async move {
            let looking = timeout(limit, channel.destination(&name)).await;
            LookupResult { target, port, destination: looking.unwrap_or(Err(Failure::TimedOut)), address }
        });
        Ok(())
    }
}

/// Checks that I2P carries a datagram of this length.
fn check_length(channel: &impl Datagrams, data: &[u8]) -> Result<(), DropReason> {
    match data.len() {
        0 => Err(DropReason::Empty),
        length if length > channel.max_payload() => Err(DropReason::TooLong),
        _ => Ok(()),
    }
}
