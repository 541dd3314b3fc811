//! Datagrams to hosts outside I2P: by relays of outproxies, where a route says so.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::Target;
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    account::{DatagramCounts, DropReason},
    client::IsolationKey,
    names::{AddressOwner, AddressPool},
    outproxy::{Outproxy, OutproxyRelay, Routing, datagram, sender},
};

/// The longest datagram over UDP.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// Outproxies whose relays one client has at the same time.
pub(super) const MAX_EXITS: usize = 8;
/// Datagrams that wait for one of them.
const MAX_WAITING: usize = 64;
/// Bytes of all datagrams of one client that wait for them.
const MAX_BYTES: usize = 256 * 1024;
/// For so long an outproxy that gave no relay, or ended it, is not asked again ...
const FIRST_REST: Duration = Duration::from_secs(1);
/// ... and twice as long each time after that, up to this, until something has come back by it.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// The client's side: what its relays pass on, and count.
#[derive(Clone)]
pub(super) struct ClientSide {
    pub(super) socket: Arc<UdpSocket>,
    /// Whom the client's virtual addresses belong to.
    pub(super) owner: AddressOwner,
    pub(super) addresses: AddressPool,
    pub(super) counts: DatagramCounts,
    /// Changes whenever something goes either way.
    pub(super) moved: Arc<AtomicU64>,
}

/// The relays of one client. They end when this is dropped.
pub(super) struct Exits {
    routing: Routing,
    /// What keeps the client apart from others.
    key: IsolationKey,
    side: ClientSide,
    exits: Vec<Exit>,
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
}

/// The way by one outproxy.
struct Exit {
    outproxy: Arc<Outproxy>,
    state: Arc<ExitState>,
    waiting: mpsc::Sender<Waiting>,
}

/// A datagram with its header, and its part of the room for all.
struct Waiting {
    datagram: Vec<u8>,
    /// Bytes of it without the header.
    payload: usize,
    _room: OwnedSemaphorePermit,
}

/// What the way by an outproxy is at.
#[derive(Default)]
struct ExitState(AtomicU8);

impl ExitState {
    /// A relay is opened when there is something to send.
    const CLOSED: u8 = 0;
    const OPEN: u8 = 1;
    const RESTS: u8 = 2;

    fn is(&self, state: u8) -> bool {
        self.0.load(Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.0.store(state, Relaxed);
    }
}

impl Exits {
    pub(super) fn new(routing: Routing, key: IsolationKey, side: ClientSide) -> Self {
        let room = Arc::new(Semaphore::new(MAX_BYTES));
        Self { routing, key, side, exits: Vec::new(), tasks: JoinSet::new(), room }
    }

    /// Sends a datagram to a host outside I2P, for a client at this address; says why it cannot be.
    pub(super) fn send(
        &mut self,
        client: SocketAddr,
        (target, port): (&Target, u16),
        data: &[u8],
    ) -> Result<(), DropReason> {
        let (outproxies, host) = self.routing.relays(target, port).ok_or(DropReason::NotAllowed)?;
        let datagram = datagram(host, port, data).ok_or(DropReason::NotAllowed)?;
        if datagram.len() > MAX_DATAGRAM {
            return Err(DropReason::TooLong);
        }
        let size = u32::try_from(datagram.len()).map_err(|_| DropReason::TooLong)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(size).map_err(|_| DropReason::QueueFull)?;
        let exit = self.exit(client, &outproxies).ok_or(DropReason::OutproxyFailed)?;
        let waiting = Waiting { datagram, payload: data.len(), _room: room };
        exit.waiting.try_send(waiting).map_err(|_| DropReason::QueueFull)
    }

    /// The first that is open, since a peer is to see one sender; else the first that does not rest.
    fn exit(&mut self, client: SocketAddr, outproxies: &[Arc<Outproxy>]) -> Option<&Exit> {
        let (mut open, mut usable) = (None, None);
        for outproxy in outproxies {
            let known = self.exits.iter().position(|exit| Arc::ptr_eq(&exit.outproxy, outproxy));
            let is = |state| {
                let exit = known.and_then(|index| self.exits.get(index));
                exit.is_some_and(|exit| exit.state.is(state))
            };
            if is(ExitState::OPEN) {
                open = known;
                break;
            }
            if usable.is_none() && !is(ExitState::RESTS) {
                usable = Some((known, outproxy));
            }
        }
        let index = match (open, usable) {
            (Some(index), _) | (None, Some((Some(index), _))) => index,
            (None, Some((None, outproxy))) => self.add(client, Arc::clone(outproxy))?,
            (None, None) => return None,
        };
        self.exits.get(index)
    }

    fn add(&mut self, client: SocketAddr, outproxy: Arc<Outproxy>) -> Option<usize> {
        if self.exits.len() >= MAX_EXITS {
            return None;
        }
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        let state = Arc::new(ExitState::default());
        let by = ByOutproxy {
            outproxy: Arc::clone(&outproxy),
            key: self.key.clone(),
            state: Arc::clone(&state),
            side: self.side.clone(),
            client,
        };
        self.tasks.spawn(by.run(waiting));
        self.exits.push(Exit { outproxy, state, waiting: sender });
        Some(self.exits.len() - 1)
    }
}

/// The task of the way by one outproxy.
struct ByOutproxy {
    outproxy: Arc<Outproxy>,
    key: IsolationKey,
    state: Arc<ExitState>,
    side: ClientSide,
    client: SocketAddr,
}

impl ByOutproxy {
    /// Opens a relay when there is something to send, again after a rest when it fails.
    async fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut rest = FIRST_REST;
        while let Some(first) = waiting.recv().await {
            match self.outproxy.relay(&self.key).await {
                Ok(relay) => {
                    self.state.set(ExitState::OPEN);
                    if self.relay(&relay, first, &mut waiting).await {
                        rest = FIRST_REST;
                    }
                }
                Err(_) => self.drop_one(DropReason::OutproxyFailed),
            }
            self.state.set(ExitState::RESTS);
            let until = Instant::now() + rest;
            // What has come to wait meanwhile would be old by then.
            while let Ok(Some(_)) = timeout_at(until, waiting.recv()).await {
                self.drop_one(DropReason::OutproxyFailed);
            }
            rest = (rest * 2).min(LONGEST_REST);
            self.state.set(ExitState::CLOSED);
        }
    }

    /// Passes datagrams on until the relay ends. Says whether any came back.
    async fn relay(
        &self,
        relay: &OutproxyRelay,
        first: Waiting,
        waiting: &mut mpsc::Receiver<Waiting>,
    ) -> bool {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut next = Some(first);
        let mut came_back = false;
        loop {
            if let Some(Waiting { datagram, payload, .. }) = next.take() {
                match relay.send(&datagram).await {
                    Ok(()) => self.side.counts.count_to_peer(payload),
                    Err(error) => {
                        self.drop_one(DropReason::NotTaken);
                        if error.kind() == io::ErrorKind::ConnectionRefused {
                            return came_back;
                        }
                    }
                }
            }
            tokio::select! {
                () = relay.ended() => return came_back,
                received = relay.receive(&mut buffer) => match received {
                    Ok(length) => {
                        came_back = true;
                        self.side.pass_on(self.client, buffer.get(..length).unwrap_or_default());
                    }
                    // Its port is closed.
                    Err(_) => return came_back,
                },
                Some(datagram) = waiting.recv() => next = Some(datagram),
            }
        }
    }

    fn drop_one(&self, why: DropReason) {
        self.side.counts.count_dropped(why);
    }
}

impl ClientSide {
    /// Passes on what a relay sent, header and all: it is the same towards clients.
    fn pass_on(&self, client: SocketAddr, datagram: &[u8]) {
        self.moved.fetch_add(1, Relaxed);
        let Some((_, data)) = sender(datagram).filter(|(sender, _)| !self.means_i2p(sender)) else {
            return self.counts.count_dropped(DropReason::OutproxyReply);
        };
        match self.socket.try_send_to(datagram, client) {
            Ok(_) => self.counts.count_to_client(data.len()),
            Err(_) => self.counts.count_dropped(DropReason::NotTaken),
        }
    }

    /// Whether this is an address that stands for a name in I2P, or could.
    fn means_i2p(&self, sender: &Target) -> bool {
        let Target::Ip(address) = sender else { return false };
        self.addresses.is_virtual(*address) || self.addresses.target_of(&self.owner, *address).is_some()
    }
}
