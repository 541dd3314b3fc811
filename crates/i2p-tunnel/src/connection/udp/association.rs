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
        handshake::PendingRequest,
        outcome::{NextStep, refuse, with_dial_timeout},
        service::Service,
    },
    dial::{Datagrams, Dial, ReceivedDatagram},
    failure::Failure,
    names::{self, AddressLease, AddressOwner},
    stream::{Socket, Stop, any_port_on},
};

/// RSV and FRAG, the first fields of a datagram's header.
const RSV_AND_FRAG: [u8; 3] = [0; 3];
/// The longest datagram that is reassembled from fragments.
const MAX_REASSEMBLED: usize = 40 * 1024;
/// Most datagrams in a row before other work gets its turn.
const MAX_BURST: usize = 32;

/// Handles UDP ASSOCIATE until the client's TCP connection ends (RFC 1928 section 7).
pub(crate) async fn associate<D: Dial>(
    accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<NextStep> {
    // A client on a Unix socket has no address by which its datagrams could be recognised.
    let Some((own, from)) = accepted.stream().tcp_addresses() else {
        return refuse(PendingRequest::Socks(accepted), Failure::CommandNotSupported, service).await;
    };
    let Some(source) = ClientSource::of(accepted.request(), from) else {
        return refuse(PendingRequest::Socks(accepted), Failure::NotAllowed, service).await;
    };
    let Some(key) = service.sessions.client_key(client) else {
        return refuse(PendingRequest::Socks(accepted), Failure::CommandNotSupported, service).await;
    };
    let channel = service.dialler.associate(&key);
    let channel = match with_dial_timeout(channel, accepted.stream(), client, service).await {
        Some(Ok(channel)) => channel,
        Some(Err(failure)) => return refuse(PendingRequest::Socks(accepted), failure, service).await,
        None => return Ok(NextStep::Done),
    };
    let bound = async {
        let socket = UdpSocket::bind(any_port_on(own)).await?;
        let relay = socket.local_addr()?;
        io::Result::Ok((socket, relay))
    };
    let (socket, relay) = match bound.await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::debug!(%error, "no socket for datagrams");
            return refuse(PendingRequest::Socks(accepted), Failure::NoSocket, service).await;
        }
    };
    let (control, _) = accepted.grant_at(Address::Ip(relay.ip()), relay.port()).await?;
    let socket = Arc::new(socket);
    let activity = Arc::<AtomicU64>::default();
    let owner = service.address_owner(client);
    let exits = service.routing.has_routes().then(|| {
        let side = ClientSide {
            socket: Arc::clone(&socket),
            owner: owner.clone(),
            addresses: service.addresses.clone(),
            counts: service.account.datagrams().clone(),
            activity: Arc::clone(&activity),
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
        () = association.run(channel, &control, &activity) => {}
        _ = stop.until_idle(|| activity.load(Relaxed)) => {}
    }
    Ok(NextStep::Close(control))
}

/// Decides which datagrams are the client's.
struct ClientSource {
    /// The address of its TCP connection. The port has no meaning here; for a link-local address, the interface counts.
    client: SocketAddr,
    /// The port that the client announced, or that its first datagram came from.
    port: Option<u16>,
}

impl ClientSource {
    /// Uses DST.ADDR and DST.PORT if they are set. Returns `None` if they name another host: its datagrams would not be the
    /// client's.
    fn of(request: &OwnedRequest, client: SocketAddr) -> Option<Self> {
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
    fn accepts(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        if from.ip().to_canonical() != self.client.ip() {
            return false;
        }
        if self.port.is_none() && udp::Header::split(datagram).is_ok() {
            self.port = Some(from.port());
        }
        self.port.is_none_or(|port| port == from.port())
    }

    /// The address to send datagrams to, once the port is known.
    fn address(&self) -> Option<SocketAddr> {
        let mut client = self.client;
        client.set_port(self.port?);
        Some(client)
    }
}

struct Association<'a, D: Dial> {
    /// The owner of the client's virtual addresses.
    owner: AddressOwner,
    /// Isolates the client from others.
    key: IsolationKey,
    service: &'a Service<D>,
    socket: Arc<UdpSocket>,
    /// Relays of outproxies, if there are routes.
    exits: Option<Exits>,
    source: ClientSource,
    /// The client's peers.
    peers: Peers<<D::Datagrams as Datagrams>::Peer>,
    queue: Queue,
    lookups: JoinSet<LookupResult>,
    reassembly: Option<Reassembly>,
    begin: Instant,
    /// The buffer for a datagram to the client.
    out: Vec<u8>,
}

/// The result of a lookup.
struct LookupResult {
    target: Box<[u8]>,
    port: u16,
    destination: Result<Destination, Failure>,
    address: Option<AddressLease>,
}

/// Why relaying stopped.
enum RelayEnd {
    ClientGone,
    SessionLost,
}

impl<D: Dial> Association<'_, D> {
    /// Relays until the client's TCP connection ends. A lost session is replaced.
    async fn run(&mut self, first: D::Datagrams, control: &Socket, activity: &AtomicU64) {
        let mut channel = Arc::new(first);
        let mut datagram = vec![0; MAX_DATAGRAM];
        let mut packet = vec![0; D::Datagrams::BUFFER_LENGTH];
        loop {
            match self.relay(&channel, control, (&mut datagram, &mut packet), activity).await {
                RelayEnd::ClientGone => return,
                RelayEnd::SessionLost => {}
            }
            drop(channel);
            self.lookups.abort_all();
            (0..self.queue.clear()).for_each(|_| self.count_drop(DropReason::NoSession));
            match self.reopen(control, &mut datagram, activity).await {
                Some(another) => channel = Arc::new(another),
                None => return,
            }
        }
    }

    /// Opens another channel after a loss; `None` if the client has gone. Datagrams to hosts outside I2P are relayed meanwhile.
    async fn reopen(
        &mut self,
        control: &Socket,
        datagram: &mut [u8],
        activity: &AtomicU64,
    ) -> Option<D::Datagrams> {
        let (service, key) = (self.service, self.key.clone());
        let again = async {
            loop {
                // This waits for the router as long as a request may.
                match service.dialler.associate(&key).await {
                    Ok(channel) => return channel,
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
                channel = &mut again => return Some(channel),
                () = control.until_closed() => return None,
                readable = self.socket.readable() => {
                    activity.fetch_add(1, Relaxed);
                    if readable.is_ok() {
                        // Without a channel, none can be lost.
                        let _ = self.receive_burst(None, datagram).await;
                    }
                }
            }
        }
    }

    async fn relay(
        &mut self,
        channel: &Arc<D::Datagrams>,
        control: &Socket,
        (datagram, packet): (&mut [u8], &mut [u8]),
        activity: &AtomicU64,
    ) -> RelayEnd {
        loop {
            activity.fetch_add(1, Relaxed);
            tokio::select! {
                () = control.until_closed() => return RelayEnd::ClientGone,
                received = channel.receive(packet) => match received {
                    Ok(received) => self.forward_to_client(&received),
                    Err(_) => return RelayEnd::SessionLost,
                },
                Some(found) = self.lookups.join_next(), if !self.lookups.is_empty() => {
                    if let Ok(found) = found && self.lookup_done(channel, found).await.is_err() {
                        return RelayEnd::SessionLost;
                    }
                }
                readable = self.socket.readable() => {
                    if readable.is_ok() && self.receive_burst(Some(channel), datagram).await.is_err() {
                        return RelayEnd::SessionLost;
                    }
                }
            }
        }
    }

    /// Receives datagrams from the client, up to a limit. An error means that the session is lost.
    async fn receive_burst(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        buffer: &mut [u8],
    ) -> Result<(), ()> {
        for _ in 0..MAX_BURST {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if self.source.accepts(from, datagram) {
                        self.take_from_client(channel, from, datagram).await?;
                    } else {
                        self.count_drop(DropReason::NotTheClient);
                    }
                }
                // This may also be an error that an earlier datagram of ours caused. The client's port may open again.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn take_from_client(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), ()> {
        let Some(reassembly) = &mut self.reassembly else {
            return self.handle_datagram(channel, from, datagram).await;
        };
        match reassembly.push(self.begin.elapsed(), datagram) {
            Ok(Reassembled::Standalone(whole)) => self.handle_datagram(channel, from, whole).await,
            Ok(Reassembled::Complete(whole)) => self.handle_datagram(channel, from, &whole).await,
            Ok(Reassembled::Kept) => Ok(()),
            Ok(Reassembled::Dropped) => {
                self.count_drop(DropReason::Fragment);
                Ok(())
            }
            Err(_) => {
                self.count_drop(DropReason::Malformed);
                Ok(())
            }
        }
    }

    /// Handles a complete datagram. An error means that the session is lost.
    async fn handle_datagram(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), ()> {
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
                    channel => self.send_first(channel, from, target, &header, data),
                }
            }
        };
        if let Err(dropped) = sent {
            self.count_drop(dropped);
        }
        Ok(())
    }

    /// Sends to a target for the first time: after a lookup for an I2P name, or by an outproxy.
    fn send_first(
        &mut self,
        channel: Option<&Arc<D::Datagrams>>,
        from: SocketAddr,
        target: &[u8],
        header: &udp::Header<'_>,
        data: &[u8],
    ) -> Result<(), DropReason> {
        let named = names::target_to_dial(&header.address.into(), &self.owner, &self.service.addresses);
        match named.map_err(|_| DropReason::NotAllowed)? {
            (Target::I2p(name), address) => {
                let channel = channel.ok_or(DropReason::NoSession)?;
                check_length(&**channel, data)?;
                self.look_up(channel, (target, header.port), (name, address), data)
            }
            (outside, _) => {
                let exits = self.exits.as_mut().ok_or(DropReason::NotAllowed)?;
                exits.send(from, (&outside, header.port), data)
            }
        }
    }

    /// Sends to a known peer. An error means that the session is lost.
    async fn send_to_peer(&mut self, channel: &D::Datagrams, target: &[u8], data: &[u8]) -> Result<(), ()> {
        let Some(peer) = self.peers.peer_of(target) else { return Ok(()) };
        match channel.send(&peer.peer, peer.port, data).await {
            Ok(()) => self.counts().count_to_peer(data.len()),
            Err(Failure::RouterUnavailable) => {
                self.count_drop(DropReason::NoSession);
                return Err(());
            }
            Err(_) => self.count_drop(DropReason::NotTaken),
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

    /// Sends the datagrams that waited for a lookup. An error means that the session is lost.
    async fn lookup_done(&mut self, channel: &D::Datagrams, found: LookupResult) -> Result<(), ()> {
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
            Err(_) => queued.iter().for_each(|_| self.count_drop(DropReason::Unresolved)),
        }
        Ok(())
    }

    /// Forwards a datagram from I2P to the client.
    fn forward_to_client(&mut self, received: &ReceivedDatagram<'_>) {
        let Some(client) = self.source.address() else {
            // The client has not sent anything yet, so its port is unknown.
            return self.count_drop(DropReason::Stranger);
        };
        if received.payload.is_empty() {
            return self.count_drop(DropReason::Empty);
        }
        self.out.clear();
        self.out.extend_from_slice(&RSV_AND_FRAG);
        match self.peers.header_for(received.sender) {
            Some(header) => self.out.extend_from_slice(header),
            None if self.service.datagrams.accept_unsolicited => match unsolicited_header(received) {
                Some(header) => self.out.extend_from_slice(&header),
                None => return self.count_drop(DropReason::Stranger),
            },
            None => return self.count_drop(DropReason::Stranger),
        }
        if let (Some(port), Some(last)) = (received.port, self.out.last_chunk_mut::<2>()) {
            *last = port.to_be_bytes();
        }
        self.out.extend_from_slice(received.payload);
        match self.socket.try_send_to(&self.out, client) {
            Ok(_) => self.counts().count_to_client(received.payload.len()),
            Err(_) => self.count_drop(DropReason::NotTaken),
        }
    }

    fn count_drop(&self, why: DropReason) {
        self.counts().count_dropped(why);
    }

    fn counts(&self) -> &DatagramCounts {
        self.service.account.datagrams()
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

/// Encodes the header for a sender that the client has not sent anything to.
fn unsolicited_header(received: &ReceivedDatagram<'_>) -> Option<Vec<u8>> {
    let b32 = received.sender.b32()?;
    Some(header_by_hash(&b32, received.port.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_bound_to_the_address_where_the_client_connected() {
        for (own, relay) in [
            ("127.0.0.1:4450", "127.0.0.1:0"),
            ("[::1]:4450", "[::1]:0"),
            ("[::ffff:192.0.2.1]:4450", "192.0.2.1:0"),
            ("[fe80::1%3]:4450", "[fe80::1%3]:0"),
        ] {
            assert_eq!(any_port_on(own.parse().unwrap()).to_string(), relay);
        }
    }

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
