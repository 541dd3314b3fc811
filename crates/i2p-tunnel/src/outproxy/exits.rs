//! Datagrams to hosts outside I2P, by relays of outproxies.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::Target;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    connect::Outproxy,
    relay::{OutproxyRelay, encode_datagram},
    routing::Routing,
};
use crate::{account::DropReason, client::IsolationKey};

/// The longest UDP datagram in bytes.
const MAX_DATAGRAM: usize = 65_535;
/// Most outproxies whose relays one client uses at the same time.
pub(crate) const MAX_EXITS: usize = 8;
/// Most datagrams that wait for one relay.
const MAX_QUEUED_DATAGRAMS: usize = 64;
/// Most bytes of one client's datagrams that wait for relays.
const MAX_QUEUED_BYTES: usize = 256 * 1024;
/// If an outproxy provides no relay, or closes it, the outproxy is not asked again for this time ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... and for twice as long after each further failure, up to this, until a datagram is received from it.
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// What a client does with what moves over its relays.
pub(crate) trait ExitUser: Clone + Send + Sync + 'static {
    /// A datagram with this many bytes of data has gone to a relay.
    fn sent(&self, payload: usize);

    /// A datagram was dropped.
    fn dropped(&self, why: DropReason);

    /// A datagram has come from a relay, with its header (RFC 1928 section 7).
    fn received(&self, datagram: &[u8]);
}

/// The relays of one client. Dropping this closes them.
pub(crate) struct Exits<U> {
    routing: Routing,
    /// Isolates the client from others.
    key: IsolationKey,
    user: U,
    exits: Vec<Exit>,
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
}

/// The relay of one outproxy.
struct Exit {
    outproxy: Arc<Outproxy>,
    state: Arc<ExitState>,
    waiting: mpsc::Sender<QueuedDatagram>,
}

/// A datagram with its header, and its share of the queue.
struct QueuedDatagram {
    datagram: Vec<u8>,
    /// The length of its data without the header.
    payload: usize,
    _room: OwnedSemaphorePermit,
}

/// The state of an outproxy's relay.
#[derive(Default)]
struct ExitState(AtomicU8);

impl ExitState {
    /// A relay is opened once there is a datagram to send.
    const CLOSED: u8 = 0;
    const OPEN: u8 = 1;
    const PAUSED: u8 = 2;

    fn is(&self, state: u8) -> bool {
        self.0.load(Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.0.store(state, Relaxed);
    }
}

impl<U: ExitUser> Exits<U> {
    pub(crate) fn new(routing: Routing, key: IsolationKey, user: U) -> Self {
        let room = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
        Self { routing, key, user, exits: Vec::new(), tasks: JoinSet::new(), room }
    }

    /// Sends a datagram to a host outside I2P. Returns why it was dropped, if it was.
    pub(crate) fn send(&mut self, (target, port): (&Target, u16), data: &[u8]) -> Result<(), DropReason> {
        let found = self.routing.datagram_outproxies(&self.key, (target, port));
        let (outproxies, host) = found.ok_or(DropReason::NotAllowed)?;
        let datagram = encode_datagram(host, port, data).ok_or(DropReason::NotAllowed)?;
        if datagram.len() > MAX_DATAGRAM {
            return Err(DropReason::TooLong);
        }
        let size = u32::try_from(datagram.len()).map_err(|_| DropReason::TooLong)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(size).map_err(|_| DropReason::QueueFull)?;
        let exit = self.exit(&outproxies).ok_or(DropReason::OutproxyFailed)?;
        let waiting = QueuedDatagram { datagram, payload: data.len(), _room: room };
        exit.waiting.try_send(waiting).map_err(|_| DropReason::QueueFull)
    }

    /// Picks the first outproxy with an open relay, so that a peer sees one sender. If there is none, picks the first that is not
    /// paused.
    fn exit(&mut self, outproxies: &[Arc<Outproxy>]) -> Option<&Exit> {
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
            if usable.is_none() && !is(ExitState::PAUSED) {
                usable = Some((known, outproxy));
            }
        }
        let index = match (open, usable) {
            (Some(index), _) | (None, Some((Some(index), _))) => index,
            (None, Some((None, outproxy))) => self.add(Arc::clone(outproxy))?,
            (None, None) => return None,
        };
        self.exits.get(index)
    }

    fn add(&mut self, outproxy: Arc<Outproxy>) -> Option<usize> {
        if self.exits.len() >= MAX_EXITS {
            return None;
        }
        let (sender, waiting) = mpsc::channel(MAX_QUEUED_DATAGRAMS);
        let state = Arc::new(ExitState::default());
        let by = ExitTask {
            outproxy: Arc::clone(&outproxy),
            key: self.key.clone(),
            state: Arc::clone(&state),
            user: self.user.clone(),
        };
        self.tasks.spawn(by.run(waiting));
        self.exits.push(Exit { outproxy, state, waiting: sender });
        Some(self.exits.len() - 1)
    }
}

/// The task for the relay of one outproxy.
struct ExitTask<U> {
    outproxy: Arc<Outproxy>,
    key: IsolationKey,
    state: Arc<ExitState>,
    user: U,
}

impl<U: ExitUser> ExitTask<U> {
    /// Opens a relay when there is a datagram to send. After a failure it pauses first.
    async fn run(self, mut waiting: mpsc::Receiver<QueuedDatagram>) {
        let mut pause = FIRST_PAUSE;
        while let Some(first) = waiting.recv().await {
            match self.outproxy.open_relay(&self.key).await {
                Ok(relay) => {
                    self.state.set(ExitState::OPEN);
                    if self.relay(&relay, first, &mut waiting).await {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(_) => self.user.dropped(DropReason::OutproxyFailed),
            }
            self.state.set(ExitState::PAUSED);
            let until = Instant::now() + pause;
            // Datagrams that arrive during the pause would be outdated after it.
            while let Ok(Some(_)) = timeout_at(until, waiting.recv()).await {
                self.user.dropped(DropReason::OutproxyFailed);
            }
            pause = (pause * 2).min(MAX_PAUSE);
            self.state.set(ExitState::CLOSED);
        }
    }

    /// Relays datagrams until the relay closes. Returns whether any were received from it.
    async fn relay(
        &self,
        relay: &OutproxyRelay,
        first: QueuedDatagram,
        waiting: &mut mpsc::Receiver<QueuedDatagram>,
    ) -> bool {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut next = Some(first);
        let mut came_back = false;
        loop {
            if let Some(QueuedDatagram { datagram, payload, .. }) = next.take() {
                match relay.send(&datagram).await {
                    Ok(()) => self.user.sent(payload),
                    Err(error) => {
                        self.user.dropped(DropReason::NotTaken);
                        if error.kind() == io::ErrorKind::ConnectionRefused {
                            return came_back;
                        }
                    }
                }
            }
            tokio::select! {
                () = relay.until_closed() => return came_back,
                received = relay.receive(&mut buffer) => match received {
                    Ok(length) => {
                        came_back = true;
                        self.user.received(buffer.get(..length).unwrap_or_default());
                    }
                    // The relay's port is closed.
                    Err(_) => return came_back,
                },
                Some(datagram) = waiting.recv() => next = Some(datagram),
            }
        }
    }
}
