use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use i2p_name::B32;
use i2p_sam::{DatagramSession, DatagramStyle, Error, Phase, Ports, Session, SessionOptions};
use restart_schedule::again_after_panics;
use tokio::time::{Instant, sleep_until};

use super::room::Place;
use crate::{
    client::{ClientOrigin, ClientRate, IsolationKey},
    failure::Failure,
    log_throttle::LogThrottle,
    sessions::pool::NoLease,
};

/// Ports that sessions listen on if the router supports ports: the range of ephemeral ports (RFC 6335).
const LISTEN_PORTS: std::ops::RangeInclusive<u16> = 0xc000..=0xffff;

/// Warns of sessions that cannot be opened, in the router's words. Clients choose how often that happens.
static NOT_OPENED: LogThrottle<()> = LogThrottle::new();

/// Settings of a datagram pool.
#[derive(Debug, Clone)]
pub struct DatagramOptions {
    /// The style of datagrams (SAM v3, DATAGRAM or its variants).
    pub style: DatagramStyle,
    /// Settings of sessions that have their own destination. A private key in them is ignored: it belongs to the streams.
    pub session: SessionOptions,
    /// Most sessions at one time. Each client with UDP open needs one. They are shared between clients like those of a
    /// [`SessionPool`](crate::SessionPool).
    pub max_sessions: NonZeroUsize,
    /// How long a session may be unused before it is closed. `None`: it is never closed for this.
    pub idle_close: Option<Duration>,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            style: DatagramStyle::Datagram,
            session: SessionOptions::default(),
            max_sessions: NonZeroUsize::MIN.saturating_add(11),
            idle_close: Some(Duration::from_secs(30 * 60)),
        }
    }
}

impl DatagramOptions {
    /// Whether a session opened with `other` is like one opened with these.
    fn opens_same_sessions(&self, other: &Self) -> bool {
        self.style == other.style && self.session == other.session
    }
}

/// A pool of sessions for datagrams. Each session has one user at a time, since most routers do not tell which of several users a
/// reply is for. Afterwards it is reused only for the same [`IsolationKey`]. Clones share the pool.
#[derive(Clone)]
pub struct DatagramPool {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) options: DatagramOptions,
    /// Increases whenever sessions are opened with other options than before.
    generation: u64,
    /// The clients of the sessions that are in use or being opened, once for each session.
    pub(super) in_use: Vec<Option<ClientOrigin>>,
    pub(super) idle: Vec<Idle>,
    /// All sessions, idle or not. Closed ones are removed when the next session opens.
    open: Vec<TrackedSession>,
    /// Destinations of streams that a datagram session shares, at routers that deliver datagrams to one session only.
    claimed: Vec<B32>,
    /// How quickly each client opens sessions.
    pub(super) opened: ClientRate,
    /// Whether a task that closes unused sessions is running.
    reaping: bool,
}

/// A session that was opened and may have been closed since.
struct TrackedSession {
    session: Weak<DatagramSession>,
    shares_destination: bool,
}

/// The status of a session for datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatagramSessionStatus {
    /// The destination that its datagrams come from.
    pub destination: B32,
    /// Whether the same client's streams use this destination too.
    pub shares_destination: bool,
    /// Whether a client is using it.
    pub in_use: bool,
}

/// A session that is waiting for its next user.
pub(super) struct Idle {
    pub(super) key: IsolationKey,
    pooled: PooledSession,
    pub(super) since: Instant,
}

/// An open session.
pub(super) struct PooledSession {
    session: Arc<DatagramSession>,
    /// The port that it listens on and sends from. 0 if the router does not support ports.
    port: u16,
    /// The destination of the key's streams when it was opened.
    streams: B32,
    /// [`State::generation`] when it was opened.
    generation: u64,
    _claim: Option<DestinationClaim>,
}

impl State {
    fn new(options: DatagramOptions) -> Self {
        Self {
            generation: 0,
            in_use: Vec::new(),
            idle: Vec::new(),
            open: Vec::new(),
            claimed: Vec::new(),
            opened: ClientRate::of_sessions(options.max_sessions),
            options,
            reaping: false,
        }
    }
}

/// The exclusive right to receive datagrams on a destination of streams.
struct DestinationClaim {
    destination: B32,
    pool: Weak<Shared>,
}

impl DestinationClaim {
    fn try_new(pool: &Arc<Shared>, destination: B32) -> Option<Self> {
        let mut state = pool.state();
        if state.claimed.contains(&destination) {
            return None;
        }
        state.claimed.push(destination);
        Some(Self { destination, pool: Arc::downgrade(pool) })
    }
}

impl Drop for DestinationClaim {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.state().claimed.retain(|claimed| *claimed != self.destination);
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the idle sessions that meet a condition. Drop them after the lock is released: dropping closes them.
    fn remove_idle_if(&self, mut condition: impl FnMut(&Idle) -> bool) -> Vec<Idle> {
        let mut state = self.state();
        let (removed, kept) = std::mem::take(&mut state.idle).into_iter().partition(|idle| condition(idle));
        state.idle = kept;
        removed
    }
}

impl DatagramPool {
    /// Creates an empty pool.
    #[must_use]
    pub fn new(options: DatagramOptions) -> Self {
        let state = Mutex::new(State::new(options));
        Self { shared: Arc::new(Shared { state }) }
    }

    /// Changes the settings of this pool and of its clones. If they open other sessions than before, unused sessions are closed at
    /// once, and those in use when their client leaves. All of them count towards [`DatagramOptions::max_sessions`] until then. If
    /// there are more than that, unused ones are closed, too.
    pub fn reconfigure(&self, options: DatagramOptions) {
        let mut state = self.shared.state();
        let before = std::mem::replace(&mut state.options, options);
        if before.max_sessions != state.options.max_sessions {
            state.opened = ClientRate::of_sessions(state.options.max_sessions);
        }
        let changed = !before.opens_same_sessions(&state.options);
        state.idle.sort_by_key(|idle| idle.since);
        let excess = state.excess().min(state.idle.len());
        let closed: Vec<_> = state.idle.drain(..excess).collect();
        // Dropping a session closes it. That must not happen under the lock.
        drop(state);
        drop(closed);
        if changed {
            self.retire();
        }
    }

    /// Closes unused sessions at once, and those in use when their client leaves.
    pub fn retire(&self) {
        let mut state = self.shared.state();
        state.generation += 1;
        let unused = std::mem::take(&mut state.idle);
        // Dropping a session closes it. That must not happen under the lock.
        drop(state);
        drop(unused);
    }

    /// Leases a session of `key` for exclusive use. `streams` is the key's session for streams: the datagrams share its
    /// destination if the router supports that and no other datagram session has claimed it.
    ///
    /// A client that has opened many sessions waits for its turn if that comes before `patience` ends. Cancel-safe: a session that is
    /// being opened is closed again.
    ///
    /// # Errors
    /// [`Failure::TooManySessions`] if all sessions are in use, [`Failure::SessionShare`] if the client uses its share of them,
    /// [`Failure::CommandNotSupported`] if the router does not support this style of datagrams, [`Failure::SessionRefused`],
    /// [`Failure::NoTunnels`], [`Failure::RouterUnavailable`] or [`Failure::RouterError`] if it opens no session.
    pub(crate) async fn lease(
        &self,
        key: &IsolationKey,
        streams: &Session,
        patience: Instant,
    ) -> Result<DatagramLease, Failure> {
        let destination = streams.destination().b32();
        let (idle, place) = loop {
            match self.take_place(key, &destination) {
                Ok(taken) => break taken,
                Err(none) => none.wait(patience).await?,
            }
        };
        let pooled = match idle {
            Some(pooled) => pooled,
            None => self.open(streams, destination).await.inspect_err(|failure| {
                // What cost the router nothing does not count towards the client's rate.
                if *failure == Failure::RouterUnavailable {
                    self.shared.state().opened.give_back(key.origin());
                }
            })?,
        };
        pooled.session.discard_waiting();
        let (session, pool) = (Arc::clone(&pooled.session), Arc::clone(&self.shared));
        Ok(DatagramLease { key: key.clone(), session, pooled: Some(pooled), place, pool })
    }

    /// Takes a place for one more session of a client, and the idle session of `key` if there is one. Closes dead and outdated ones,
    /// and another one if the pool is full or the client has its share.
    fn take_place(
        &self,
        key: &IsolationKey,
        streams: &B32,
    ) -> Result<(Option<PooledSession>, Place), NoLease> {
        // If the key's streams have a new identity, an old session would link it to the previous one.
        let stale = |idle: &Idle| idle.key == *key && idle.pooled.streams != *streams;
        drop(self.shared.remove_idle_if(|idle| stale(idle) || !idle.pooled.session.session().is_alive()));
        let mut state = self.shared.state();
        let client = key.origin();
        let of_key = |of_client: bool| {
            let fits = |idle: &Idle| idle.key == *key && (idle.key.origin() == client || !of_client);
            state.idle.iter().position(fits)
        };
        // Keys can be equal although other clients have left the session.
        let at = of_key(true).or_else(|| of_key(false).filter(|_| !state.is_share_used(client)));
        let own = at.map(|at| state.idle.swap_remove(at).pooled);
        let closed = if own.is_none() { state.make_room_at_rate(client)? } else { None };
        let place = Place::take(&self.shared, &mut state, client);
        // Dropping a session closes it. That must not happen under the lock.
        drop(state);
        drop(closed);
        Ok((own, place))
    }

    async fn open(&self, streams: &Session, destination: B32) -> Result<PooledSession, Failure> {
        let (DatagramOptions { style, session: options, .. }, generation) = {
            let state = self.shared.state();
            (state.options.clone(), state.generation)
        };
        let carries_ports = streams.capabilities().datagram_ports();
        let port = if carries_ports { random_port().ok_or(Failure::RouterError)? } else { 0 };
        let ports = Ports { from: port, to: 0 };
        let options = options.without_private_key();
        // With ports, any number of sessions can share a destination; without, only one.
        let claim = if carries_ports { None } else { DestinationClaim::try_new(&self.shared, destination) };
        let mut opened = if carries_ports || claim.is_some() {
            streams.open_datagrams(style, ports, &options).await
        } else {
            streams.open_datagrams_apart(style, ports, &options).await
        };
        // The router may still have a session that we abandoned before it answered.
        if let (Err(Error::Refused { .. }), Some(_)) = (&opened, &claim) {
            opened = streams.open_datagrams_apart(style, ports, &options).await;
        }
        let session = opened.map_err(|error| {
            NOT_OPENED.warn((), format_args!("no I2P session for datagrams: {}", error.for_log()));
            open_failure(&error)
        })?;
        let shares_destination = session.session().destination().b32() == destination;
        let session = Arc::new(session);
        let mut state = self.shared.state();
        state.open.retain(|opened| opened.session.strong_count() > 0);
        state.open.push(TrackedSession { session: Arc::downgrade(&session), shares_destination });
        drop(state);
        Ok(PooledSession {
            session,
            port,
            streams: destination,
            generation,
            // Released if the router gave the datagrams their own destination.
            _claim: claim.filter(|_| shares_destination),
        })
    }

    /// The status of every open session.
    #[must_use]
    pub fn sessions(&self) -> Vec<DatagramSessionStatus> {
        let state = self.shared.state();
        let alive = state.open.iter().filter_map(|TrackedSession { session, shares_destination }| {
            let session = session.upgrade().filter(|session| session.session().is_alive())?;
            Some((session, *shares_destination))
        });
        let is_idle =
            |of: &Arc<DatagramSession>| state.idle.iter().any(|idle| Arc::ptr_eq(&idle.pooled.session, of));
        let alive: Vec<_> = alive.map(|(session, shares)| (!is_idle(&session), session, shares)).collect();
        // Dropping the last owner of a session, which may be here, closes it. That must not happen under the lock.
        drop(state);
        let status = |(in_use, session, shares_destination): (bool, Arc<DatagramSession>, bool)| {
            let destination = session.session().destination().b32();
            DatagramSessionStatus { destination, shares_destination, in_use }
        };
        alive.into_iter().map(status).collect()
    }
}

/// Closes sessions that have been unused for `limit`. Ends when no session is idle.
async fn reap(shared: Weak<Shared>, limit: Duration) {
    let what = "the task that closes unused I2P sessions for datagrams";
    again_after_panics(what, || reap_when_due(&shared, limit)).await;
}

async fn reap_when_due(shared: &Weak<Shared>, limit: Duration) {
    let mut next = Instant::now() + limit;
    loop {
        sleep_until(next).await;
        let Some(shared) = shared.upgrade() else { return };
        let now = Instant::now();
        let unused = shared.remove_idle_if(|idle| now - idle.since >= limit);
        let (closed, seconds) = (unused.len(), limit.as_secs());
        drop(unused);
        if closed > 0 {
            tracing::info!(closed, "closed idle I2P sessions for datagrams: unused for {seconds} s");
        }
        let mut state = shared.state();
        match state.idle.iter().map(|idle| idle.since).min() {
            Some(since) => next = since + limit,
            None => {
                state.reaping = false;
                return;
            }
        }
    }
}

impl std::fmt::Debug for DatagramPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramPool").field("idle", &self.shared.state().idle.len()).finish_non_exhaustive()
    }
}

/// Exclusive use of a session for datagrams. The session returns to its pool when this is dropped.
pub(crate) struct DatagramLease {
    key: IsolationKey,
    session: Arc<DatagramSession>,
    /// Taken on drop.
    pooled: Option<PooledSession>,
    place: Place,
    pool: Arc<Shared>,
}

impl DatagramLease {
    /// The session.
    #[must_use]
    pub(super) fn session(&self) -> &DatagramSession {
        &self.session
    }

    /// The port to send from. 0 if the router does not support ports.
    #[must_use]
    pub(super) fn port(&self) -> u16 {
        self.pooled.as_ref().map_or(0, |pooled| pooled.port)
    }
}

impl Drop for DatagramLease {
    fn drop(&mut self) {
        let Some(pooled) = self.pooled.take() else { return };
        if !pooled.session.session().is_alive() {
            return;
        }
        let mut state = self.pool.state();
        if pooled.generation != state.generation || state.excess() > 0 {
            // Dropped after the lock, which closes it.
            drop(state);
            return;
        }
        // In one step, so that the session is never counted twice.
        self.place.end(&mut state);
        state.idle.push(Idle { key: self.key.clone(), pooled, since: Instant::now() });
        if let (Some(limit), false, Ok(runtime)) =
            (state.options.idle_close, state.reaping, tokio::runtime::Handle::try_current())
        {
            state.reaping = true;
            runtime.spawn(reap(Arc::downgrade(&self.pool), limit));
        }
    }
}

impl std::fmt::Debug for DatagramLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramLease").field("port", &self.port()).finish_non_exhaustive()
    }
}

fn random_port() -> Option<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).ok()?;
    Some(u16::from_ne_bytes(bytes) | LISTEN_PORTS.start())
}

/// The failure of a client when its session cannot be opened.
fn open_failure(error: &Error) -> Failure {
    match error {
        Error::Unsupported { .. } | Error::NoUdpAddress => Failure::CommandNotSupported,
        Error::SessionLost
        | Error::NotDecided
        | Error::Unreachable { .. }
        | Error::NotSam { .. }
        | Error::ExpectsTls { .. }
        | Error::NoTls { .. }
        | Error::Certificate { .. }
        | Error::ClosedAtHello { .. }
        | Error::Closed { phase: Phase::Hello } => Failure::RouterUnavailable,
        Error::Refused { .. } => Failure::SessionRefused,
        Error::Timeout { .. } => Failure::NoTunnels,
        _ => Failure::RouterError,
    }
}
