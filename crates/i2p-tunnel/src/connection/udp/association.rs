use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use i2p_name::{Destination, I2pName, Target};
use socks_wire::{
    Address, Reassembled, Reassembly,
    stream::{Accepted, OwnedAddress, OwnedRequest},
    udp,
};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    exits::{ClientSide, Exits, MAX_DATAGRAM},
    peers::{Peers, header_by_hash},
    queue::Queue,
};
use crate::{
    account::{DatagramCounts, DropReason},
    client::{Client, IsolationKey},
    connection::{
        handshake::Waiting,
        outcome::{Next, refuse, within},
        service::Service,
    },
    dial::{Datagrams, Dial, ReceivedDatagram},
    failure::Failure,
    names::{self, AddressLease, AddressOwner},
    stream::{Socket, Stop, beside},
};

/// RSV and FRAG, which stand before what says where to.
const PREFIX: [u8; 3] = [0; 3];
/// The most bytes of a datagram that is put together from fragments.
const MAX_REASSEMBLED: usize = 40 * 1024;
/// Datagrams that are handled in a row before something else has its turn.
const BURST: usize = 32;

/// UDP ASSOCIATE, from the request to its end: that of the client's TCP connection (RFC 1928 section 7).
pub(crate) async fn associate<D: Dial>(
    accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<Next> {
    // Who comes over a Unix socket has no address that its datagrams could be known by.
    let Some((own, from)) = accepted.stream().tcp_addresses() else {
        return refuse(Waiting::Socks(accepted), Failure::CommandNotSupported, service).await;
    };
    let Some(source) = Source::of(accepted.request(), from) else {
        return refuse(Waiting::Socks(accepted), Failure::NotAllowed, service).await;
    };
    let Some(key) = service.sessions.client_key(client) else {
        return refuse(Waiting::Socks(accepted), Failure::CommandNotSupported, service).await;
    };
    let way = service.dialler.associate(&key);
    let way = match within(way, accepted.stream(), client, service).await {
        Some(Ok(way)) => way,
        Some(Err(failure)) => return refuse(Waiting::Socks(accepted), failure, service).await,
        None => return Ok(Next::Over),
    };
    let bound = async {
        let socket = UdpSocket::bind(beside(own)).await?;
        let relay = socket.local_addr()?;
        io::Result::Ok((socket, relay))
    };
    let (socket, relay) = match bound.await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::debug!(%error, "no socket for datagrams");
            return refuse(Waiting::Socks(accepted), Failure::NoSocket, service).await;
        }
    };
    let (control, _) = accepted.grant_at(Address::Ip(relay.ip()), relay.port()).await?;
    let socket = Arc::new(socket);
    let moved = Arc::<AtomicU64>::default();
    let owner = service.address_owner(client);
    let exits = service.routing.has_rules().then(|| {
        let side = ClientSide {
            socket: Arc::clone(&socket),
            owner: owner.clone(),
            addresses: service.addresses.clone(),
            counts: service.account.datagrams().clone(),
            moved: Arc::clone(&moved),
        };
        Exits::new(service.routing.clone(), key.clone(), side)
    });
    let mut association = Association {
        owner,
        key,
        service,
        socket,
        exits,
        source,
        peers: Peers::default(),
        queue: Queue::default(),
        lookups: JoinSet::new(),
        reassembly: service
            .datagrams
            .reassemble_fragments
            .then(|| Reassembly::new(Reassembly::MIN_TIMEOUT, MAX_REASSEMBLED)),
        begin: Instant::now(),
        out: Vec::new(),
    };
    service.account.succeeded(client.protocol);
    let _active = service.account.datagrams().association();
    tokio::select! {
        () = association.run(way, &control, &moved) => {}
        _ = stop.quiet(|| moved.load(Relaxed)) => {}
    }
    Ok(Next::Close(control))
}

/// Whose datagrams are taken.
struct Source {
    /// Where its connection comes from: of its port nothing is known, of a link-local address the interface counts.
    client: SocketAddr,
    /// The port that it has said, or has sent a datagram from first.
    port: Option<u16>,
}

impl Source {
    /// By DST.ADDR and DST.PORT, where they say something. Nothing, if they speak of another host: its datagrams would be
    /// somebody else's.
    fn of(request: &OwnedRequest, client: SocketAddr) -> Option<Self> {
        let port = (request.port != 0).then_some(request.port);
        let client = beside(client);
        match &request.address {
            OwnedAddress::Ip(ip) if ip.is_unspecified() || ip.to_canonical() == client.ip() => {
                Some(Self { client, port })
            }
            // Behind an address translator, a client knows another address of itself than we do; then the port may be
            // another too.
            OwnedAddress::Ip(_) => None,
            // Some clients write a name that means nothing, such as "0".
            OwnedAddress::Domain(_) => Some(Self { client, port: None }),
        }
    }

    /// Whether this is the client's. Where it has not said its port, its first datagram does; what is no datagram for a relay
    /// does not, so that not every packet of another program on its host locks it out.
    fn takes(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        if from.ip().to_canonical() != self.client.ip() {
            return false;
        }
        if self.port.is_none() && udp::Header::split(datagram).is_ok() {
            self.port = Some(from.port());
        }
        self.port.is_none_or(|port| port == from.port())
    }

    /// Where it takes datagrams, once that is known.
    fn address(&self) -> Option<SocketAddr> {
        let mut client = self.client;
        client.set_port(self.port?);
        Some(client)
    }
}

struct Association<'a, D: Dial> {
    /// Whom the client's virtual addresses belong to.
    owner: AddressOwner,
    /// What keeps the client apart from others.
    key: IsolationKey,
    service: &'a Service<D>,
    socket: Arc<UdpSocket>,
    /// The ways out of I2P, where there are routes.
    exits: Option<Exits>,
    source: Source,
    /// Where the client's datagrams come from, once one has come.
    peers: Peers<<D::Datagrams as Datagrams>::Peer>,
    queue: Queue,
    lookups: JoinSet<Found>,
    reassembly: Option<Reassembly>,
    begin: Instant,
    /// Where a datagram for the client is put together.
    out: Vec<u8>,
}

/// What a lookup has found.
struct Found {
    target: Box<[u8]>,
    port: u16,
    destination: Result<Destination, Failure>,
    address: Option<AddressLease>,
}

/// Why datagrams stopped going.
enum End {
    ClientGone,
    SessionLost,
}

impl<D: Dial> Association<'_, D> {
    /// Relays until the client's TCP connection ends. A session that is lost is replaced.
    async fn run(&mut self, first: D::Datagrams, control: &Socket, moved: &AtomicU64) {
        let mut way = Arc::new(first);
        let mut datagram = vec![0; MAX_DATAGRAM];
        let mut packet = vec![0; D::Datagrams::BUFFER_LENGTH];
        loop {
            match self.relay(&way, control, (&mut datagram, &mut packet), moved).await {
                End::ClientGone => return,
                End::SessionLost => {}
            }
            drop(way);
            self.lookups.abort_all();
            (0..self.queue.clear()).for_each(|_| self.drop_one(DropReason::NoSession));
            match self.another(control, &mut datagram, moved).await {
                Some(another) => way = Arc::new(another),
                None => return,
            }
        }
    }

    /// Another session in the place of one that was lost; nothing, if the client has gone. What goes out of I2P goes on meanwhile.
    async fn another(
        &mut self,
        control: &Socket,
        datagram: &mut [u8],
        moved: &AtomicU64,
    ) -> Option<D::Datagrams> {
        let (service, key) = (self.service, self.key.clone());
        let again = async {
            loop {
                // It waits for the router by itself, for as long as a request may.
                match service.dialler.associate(&key).await {
                    Ok(way) => return way,
                    Err(failure) => {
                        tracing::debug!("no session for datagrams: {}", failure.row().log);
                        tokio::time::sleep(service.limits.linger).await;
                    }
                }
            }
        };
        tokio::pin!(again);
        loop {
            tokio::select! {
                way = &mut again => return Some(way),
                () = control.ended() => return None,
                readable = self.socket.readable() => {
                    moved.fetch_add(1, Relaxed);
                    if readable.is_ok() {
                        // Without a session, none is lost.
                        let _ = self.burst(None, datagram).await;
                    }
                }
            }
        }
    }

    async fn relay(
        &mut self,
        way: &Arc<D::Datagrams>,
        control: &Socket,
        (datagram, packet): (&mut [u8], &mut [u8]),
        moved: &AtomicU64,
    ) -> End {
        loop {
            moved.fetch_add(1, Relaxed);
            tokio::select! {
                () = control.ended() => return End::ClientGone,
                received = way.receive(packet) => match received {
                    Ok(received) => self.peer_sent(&received),
                    Err(_) => return End::SessionLost,
                },
                Some(found) = self.lookups.join_next(), if !self.lookups.is_empty() => {
                    if let Ok(found) = found && self.found(way, found).await.is_err() {
                        return End::SessionLost;
                    }
                }
                readable = self.socket.readable() => {
                    if readable.is_ok() && self.burst(Some(way), datagram).await.is_err() {
                        return End::SessionLost;
                    }
                }
            }
        }
    }

    /// Takes what the client has sent, up to a limit. An error means that the session is lost.
    async fn burst(&mut self, way: Option<&Arc<D::Datagrams>>, buffer: &mut [u8]) -> Result<(), ()> {
        for _ in 0..BURST {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if self.source.takes(from, datagram) {
                        self.client_sent(way, from, datagram).await?;
                    } else {
                        self.drop_one(DropReason::NotTheClient);
                    }
                }
                // Also what an earlier datagram of ours brought back: the client's port may open again.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn client_sent(
        &mut self,
        way: Option<&Arc<D::Datagrams>>,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), ()> {
        let Some(reassembly) = &mut self.reassembly else {
            return self.whole(way, from, datagram).await;
        };
        match reassembly.push(self.begin.elapsed(), datagram) {
            Ok(Reassembled::Standalone(whole)) => self.whole(way, from, whole).await,
            Ok(Reassembled::Complete(whole)) => self.whole(way, from, &whole).await,
            Ok(Reassembled::Kept) => Ok(()),
            Ok(Reassembled::Dropped) => {
                self.drop_one(DropReason::Fragment);
                Ok(())
            }
            Err(_) => {
                self.drop_one(DropReason::Malformed);
                Ok(())
            }
        }
    }

    /// A datagram that is no fragment, or has been put together. An error means that the session is lost.
    async fn whole(
        &mut self,
        way: Option<&Arc<D::Datagrams>>,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), ()> {
        let sent = match udp::Header::split(datagram) {
            Err(_) => Err(DropReason::Malformed),
            Ok((header, _)) if header.fragment != udp::Fragment::STANDALONE => Err(DropReason::Fragment),
            Ok((header, data)) => {
                let target = datagram.get(PREFIX.len()..datagram.len() - data.len()).unwrap_or_default();
                match way {
                    Some(way) if self.peers.of_target(target).is_some() => match fits(&**way, data) {
                        Ok(()) => return self.send(way, target, data).await,
                        Err(dropped) => Err(dropped),
                    },
                    way => self.first(way, from, target, &header, data),
                }
            }
        };
        if let Err(dropped) = sent {
            self.drop_one(dropped);
        }
        Ok(())
    }

    /// Sends to a target that is not known yet: by a lookup, where it is one of I2P, else by a way out.
    fn first(
        &mut self,
        way: Option<&Arc<D::Datagrams>>,
        from: SocketAddr,
        target: &[u8],
        header: &udp::Header<'_>,
        data: &[u8],
    ) -> Result<(), DropReason> {
        let named = names::target_to_dial(&header.address.into(), &self.owner, &self.service.addresses);
        match named.map_err(|_| DropReason::NotAllowed)? {
            (Target::I2p(name), address) => {
                let way = way.ok_or(DropReason::NoSession)?;
                fits(&**way, data)?;
                self.look_up(way, (target, header.port), (name, address), data)
            }
            (outside, _) => {
                let exits = self.exits.as_mut().ok_or(DropReason::NotAllowed)?;
                exits.send(from, (&outside, header.port), data)
            }
        }
    }

    /// Sends to a peer that is known. An error means that the session is lost.
    async fn send(&mut self, way: &D::Datagrams, target: &[u8], data: &[u8]) -> Result<(), ()> {
        let Some(peer) = self.peers.of_target(target) else { return Ok(()) };
        match way.send(&peer.peer, peer.port, data).await {
            Ok(()) => self.counts().count_to_peer(data.len()),
            Err(Failure::RouterUnavailable) => {
                self.drop_one(DropReason::NoSession);
                return Err(());
            }
            Err(_) => self.drop_one(DropReason::NotTaken),
        }
        Ok(())
    }

    /// Begins to look a target up, or lets a datagram wait for a lookup that is under way.
    fn look_up(
        &mut self,
        way: &Arc<D::Datagrams>,
        (target, port): (&[u8], u16),
        (name, address): (I2pName, Option<AddressLease>),
        data: &[u8],
    ) -> Result<(), DropReason> {
        if !self.queue.push(target, data)? {
            return Ok(());
        }
        let (way, target) = (Arc::clone(way), Box::from(target));
        let limit = self.service.limits.dial;
        self.lookups.spawn(async move {
            let looking = timeout(limit, way.destination(&name)).await;
            Found { target, port, destination: looking.unwrap_or(Err(Failure::TimedOut)), address }
        });
        Ok(())
    }

    /// Sends what waited for a lookup. An error means that the session is lost.
    async fn found(&mut self, way: &D::Datagrams, found: Found) -> Result<(), ()> {
        let Found { target, port, destination, address } = found;
        let queued = self.queue.take(&target);
        match destination {
            Ok(destination) => {
                let peer = way.peer(&destination);
                self.peers.insert(&target, port, (&destination, peer), address);
                for data in queued {
                    self.send(way, &target, &data).await?;
                }
            }
            Err(_) => queued.iter().for_each(|_| self.drop_one(DropReason::Unresolved)),
        }
        Ok(())
    }

    /// Passes on what came from I2P.
    fn peer_sent(&mut self, received: &ReceivedDatagram<'_>) {
        let Some(client) = self.source.address() else {
            // It has never sent anything, so that nobody knows where it is.
            return self.drop_one(DropReason::Stranger);
        };
        if received.payload.is_empty() {
            return self.drop_one(DropReason::Empty);
        }
        self.out.clear();
        self.out.extend_from_slice(&PREFIX);
        match self.peers.header_of(received.sender) {
            Some(header) => self.out.extend_from_slice(header),
            None if self.service.datagrams.accept_unsolicited => match stranger(received) {
                Some(header) => self.out.extend_from_slice(&header),
                None => return self.drop_one(DropReason::Stranger),
            },
            None => return self.drop_one(DropReason::Stranger),
        }
        if let (Some(port), Some(last)) = (received.port, self.out.last_chunk_mut::<2>()) {
            *last = port.to_be_bytes();
        }
        self.out.extend_from_slice(received.payload);
        match self.socket.try_send_to(&self.out, client) {
            Ok(_) => self.counts().count_to_client(received.payload.len()),
            Err(_) => self.drop_one(DropReason::NotTaken),
        }
    }

    fn drop_one(&self, why: DropReason) {
        self.counts().count_dropped(why);
    }

    fn counts(&self) -> &DatagramCounts {
        self.service.account.datagrams()
    }
}

/// Whether I2P carries this.
fn fits(way: &impl Datagrams, data: &[u8]) -> Result<(), DropReason> {
    match data.len() {
        0 => Err(DropReason::Empty),
        length if length > way.max_payload() => Err(DropReason::TooLong),
        _ => Ok(()),
    }
}

/// What stands before a datagram of somebody whom the client does not know.
fn stranger(received: &ReceivedDatagram<'_>) -> Option<Vec<u8>> {
    let b32 = received.sender.b32()?;
    Some(header_by_hash(&b32, received.port.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_where_the_client_reached_us() {
        for (own, relay) in [
            ("127.0.0.1:4450", "127.0.0.1:0"),
            ("[::1]:4450", "[::1]:0"),
            ("[::ffff:192.0.2.1]:4450", "192.0.2.1:0"),
            ("[fe80::1%3]:4450", "[fe80::1%3]:0"),
        ] {
            assert_eq!(beside(own.parse().unwrap()).to_string(), relay);
        }
    }

    #[test]
    fn a_client_with_a_link_local_address_is_answered_by_its_interface() {
        let request = OwnedRequest {
            protocol: socks_wire::Protocol::Socks5,
            command: socks_wire::Command::UDP_ASSOCIATE,
            address: OwnedAddress::Ip([0; 4].into()),
            port: 0,
            user_id: Vec::new(),
            credentials: None,
        };
        let mut source = Source::of(&request, "[fe80::2%3]:50000".parse().unwrap()).unwrap();
        assert_eq!(source.address(), None);
        let from = "[fe80::2%3]:60000".parse().unwrap();
        assert!(source.takes(from, &[0, 0, 0, 1, 127, 0, 0, 1, 0, 7]));
        assert_eq!(source.address(), Some(from));
    }
}
