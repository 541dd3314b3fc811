//! The datagrams of a contained program: an association of the way for each of its sockets.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_contain::network::{Datagram, Replies};
use i2p_name::Target;
use i2p_tunnel::{AddressLease, Failure};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::way::{Association, Received, Way};

/// Most sockets of the program that have an association at once. The one that has been silent for longest ends first.
const MAX_ASSOCIATIONS: usize = 64;
/// Most datagrams of one socket that wait to be sent. Further ones are dropped.
const MAX_WAITING: usize = 64;
/// Most targets of one socket that are remembered. The one that was sent to longest ago is forgotten first.
const MAX_TARGETS: usize = 512;
/// After how much silence an association ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long to wait before an association is opened again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What the program means by an address, and what keeps that address.
type Named = (Target, Option<AddressLease>);

/// The associations of a run. Dropping this ends them.
pub(super) struct Associations<W: Way> {
    way: Arc<W>,
    state: Mutex<State>,
    /// The way carries no datagrams, as it has found out by trying.
    refused: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    /// The sockets of the program, by address and port.
    sockets: HashMap<SocketAddr, Open>,
    tasks: JoinSet<()>,
}

/// An association, and when the program has last sent something over it.
struct Open {
    waiting: mpsc::Sender<Outgoing>,
    used: Instant,
}

/// A datagram of the program.
struct Outgoing {
    named: Named,
    /// The target as the program addressed it.
    target: SocketAddr,
    payload: Vec<u8>,
}

impl<W: Way> Associations<W> {
    pub(super) fn new(way: Arc<W>) -> Self {
        Self { way, state: Mutex::default(), refused: Arc::default() }
    }

    /// Whether datagrams are carried, as far as this is known.
    pub(super) fn are_carried(&self) -> bool {
        self.way.carries_datagrams() && !self.refused.load(Relaxed)
    }

    /// Sends a datagram, later. It is dropped if too many wait, as datagrams are.
    pub(super) fn send(&self, datagram: Datagram, named: Named, replies: &Replies) {
        let Datagram { client, target, payload } = datagram;
        let outgoing = Outgoing { named, target, payload };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.tasks.try_join_next().is_some() {}
        state.sockets.retain(|_, open| !open.waiting.is_closed());
        if !state.sockets.contains_key(&client) {
            if state.sockets.len() >= MAX_ASSOCIATIONS {
                let oldest =
                    state.sockets.iter().min_by_key(|(_, open)| open.used).map(|(client, _)| *client);
                oldest.map(|oldest| state.sockets.remove(&oldest));
            }
            let (waiting, receiver) = mpsc::channel(MAX_WAITING);
            let socket = ProgramSocket { client, replies: replies.clone(), targets: HashMap::new() };
            let (way, refused) = (Arc::clone(&self.way), Arc::clone(&self.refused));
            state.tasks.spawn(serve(way, socket, receiver, refused));
            state.sockets.insert(client, Open { waiting, used: Instant::now() });
        }
        if let Some(open) = state.sockets.get_mut(&client) {
            open.used = Instant::now();
            let _ = open.waiting.try_send(outgoing);
        }
    }
}

/// A UDP socket of the program.
struct ProgramSocket {
    client: SocketAddr,
    replies: Replies,
    /// The targets that it has sent to, so that answers come from the address that it knows.
    targets: HashMap<Target, Addressed>,
}

/// How the program has addressed a target.
struct Addressed {
    address: SocketAddr,
    used: Instant,
    _lease: Option<AddressLease>,
}

impl ProgramSocket {
    fn remember(&mut self, target: &Target, address: SocketAddr, lease: Option<AddressLease>) {
        if self.targets.len() >= MAX_TARGETS && !self.targets.contains_key(target) {
            let oldest = self.targets.iter().min_by_key(|(_, addressed)| addressed.used);
            if let Some(oldest) = oldest.map(|(target, _)| target.clone()) {
                self.targets.remove(&oldest);
            }
        }
        self.targets.insert(target.clone(), Addressed { address, used: Instant::now(), _lease: lease });
    }

    /// Hands a datagram to the program, if it has sent something to its sender.
    fn receive(&self, received: Received) {
        let Some(addressed) = self.targets.get(&received.sender) else { return };
        let mut target = addressed.address;
        if let Some(port) = received.port {
            target.set_port(port);
        }
        self.replies.send(Datagram { client: self.client, target, payload: received.payload });
    }
}

/// Why an association ends.
enum Ended {
    /// Nobody needs it any more.
    Unused,
    /// The way has lost it.
    Lost,
}

/// Serves a socket until it is silent, or no association can be had.
async fn serve<W: Way>(
    way: Arc<W>,
    mut socket: ProgramSocket,
    mut waiting: mpsc::Receiver<Outgoing>,
    refused: Arc<AtomicBool>,
) {
    loop {
        match way.associate().await {
            Ok(association) => match relay(&association, &mut socket, &mut waiting).await {
                Ended::Unused => return,
                Ended::Lost => {}
            },
            Err(Failure::CommandNotSupported) => return refused.store(true, Relaxed),
            Err(_) => {}
        }
        sleep(RETRY_PAUSE).await;
        if waiting.is_closed() && waiting.is_empty() {
            return;
        }
    }
}

/// Sends and receives until the socket is silent or the association is lost. A datagram that waits for a lookup holds up those behind
/// it, but nothing that arrives.
async fn relay<A: Association>(
    association: &A,
    socket: &mut ProgramSocket,
    waiting: &mut mpsc::Receiver<Outgoing>,
) -> Ended {
    let mut silent_at = Instant::now() + IDLE_TIMEOUT;
    loop {
        let next = tokio::select! {
            next = waiting.recv() => next,
            received = association.receive() => {
                let Ok(received) = received else { return Ended::Lost };
                socket.receive(received);
                silent_at = Instant::now() + IDLE_TIMEOUT;
                continue;
            }
            () = sleep_until(silent_at) => None,
        };
        let Some(Outgoing { named: (target, lease), target: address, payload }) = next else {
            return Ended::Unused;
        };
        socket.remember(&target, address, lease);
        silent_at = Instant::now() + IDLE_TIMEOUT;
        let mut sending = std::pin::pin!(association.send(&target, address.port(), &payload));
        loop {
            tokio::select! {
                sent = &mut sending => match sent {
                    Err(Failure::RouterUnavailable) => return Ended::Lost,
                    // It is dropped, as datagrams are.
                    _ => break,
                },
                received = association.receive() => match received {
                    Ok(received) => socket.receive(received),
                    Err(_) => return Ended::Lost,
                },
            }
        }
    }
}
