use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use i2p_name::B32;
use i2p_sam::{DatagramSession, DatagramStyle, Error, Ports, Session, SessionOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use crate::{client::IsolationKey, failure::Failure};

/// The ports that sessions listen on where the router carries ports: those that nobody has by convention.
const LISTEN_PORTS: std::ops::RangeInclusive<u16> = 0xc000..=0xffff;

/// What a pool's sessions for datagrams are, and how many.
#[derive(Debug, Clone)]
pub struct DatagramOptions {
    /// The kind of datagrams.
    pub style: DatagramStyle,
    /// What a session is that has a destination of its own. Keys in it are not used: they belong to the streams.
    pub session: SessionOptions,
    /// The cap: sessions at one time. Each client that has UDP open needs one.
    pub max_sessions: NonZeroUsize,
    /// How long a session may be unused before it is closed; for ever if not set.
    pub idle_close: Option<Duration>,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            style: DatagramStyle::Datagram,
            session: SessionOptions::default(),
            max_sessions: NonZeroUsize::MIN.saturating_add(7),
            idle_close: Some(Duration::from_secs(30 * 60)),
        }
    }
}

/// Sessions for datagrams. Each has one user at a time, since most routers cannot say which of several an answer is for;
/// the next user is one with the same [`IsolationKey`]. Clones are the same pool.
#[derive(Clone)]
pub struct DatagramPool {
    shared: Arc<Shared>,
}

struct Shared {
    options: DatagramOptions,
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    /// All sessions, idle or not; those that have gone stay until it is looked at again.
    open: Vec<Opened>,
    /// Destinations of streams that carry a session's datagrams too, where the router gives them to one session only.
    lent: Vec<B32>,
    /// Whether a task is there that closes what is unused.
    reaping: bool,
}

/// A session that has been opened.
struct Opened {
    session: Weak<DatagramSession>,
    shares_destination: bool,
}

/// A session for datagrams, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatagramSessionStatus {
    /// The destination that its datagrams come from.
    pub destination: B32,
    /// Whether that is the destination of the streams of the same client; else the datagrams have one of their own.
    pub shares_destination: bool,
    /// Whether a client has it now.
    pub in_use: bool,
}

/// A session that waits for its next user.
struct Idle {
    key: IsolationKey,
    place: Place,
    since: Instant,
}

/// A session and what goes with it.
struct Place {
    session: Arc<DatagramSession>,
    /// The port that it listens on and sends from; 0 where the router carries none.
    port: u16,
    /// The destination of the key's streams when it was opened.
    streams: B32,
    _claim: Option<Claim>,
    _permit: OwnedSemaphorePermit,
}

/// The one place for datagrams on a destination of streams.
struct Claim {
    destination: B32,
    pool: Weak<Shared>,
}

impl Claim {
    fn of(pool: &Arc<Shared>, destination: B32) -> Option<Self> {
        let mut state = pool.state();
        if state.lent.contains(&destination) {
            return None;
        }
        state.lent.push(destination);
        Some(Self { destination, pool: Arc::downgrade(pool) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.state().lent.retain(|lent| *lent != self.destination);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the idle sessions of which this holds. They end when they are dropped, which is not to happen under the lock.
    fn take_out(&self, mut out: impl FnMut(&Idle) -> bool) -> Vec<Idle> {
        let mut state = self.state();
        let (gone, kept) = std::mem::take(&mut state.idle).into_iter().partition(|idle| out(idle));
        state.idle = kept;
        gone
    }
}

impl DatagramPool {
    /// A pool without any session yet.
    #[must_use]
    pub fn new(options: DatagramOptions) -> Self {
        let permits = Arc::new(Semaphore::new(options.max_sessions.get()));
        Self { shared: Arc::new(Shared { options, permits, state: Mutex::default() }) }
    }

    /// A session of this key, which nobody else uses for as long as the seat exists. `streams` is the key's session for
    /// streams: where it lends its destination and the place is free, the datagrams come from there too.
    ///
    /// # Errors
    /// [`Failure::TooManySessions`], [`Failure::CommandNotSupported`] where the router has no datagrams of the kind, and what
    /// a router can say to a session.
    pub(crate) async fn seat(&self, key: &IsolationKey, streams: &Session) -> Result<DatagramLease, Failure> {
        let destination = streams.destination().b32();
        let place = match self.take_idle(key, &destination) {
            Some(place) => place,
            None => self.open(streams, destination).await?,
        };
        place.session.discard_waiting();
        let session = Arc::clone(&place.session);
        Ok(DatagramLease { key: key.clone(), session, place: Some(place), pool: Arc::clone(&self.shared) })
    }

    fn take_idle(&self, key: &IsolationKey, streams: &B32) -> Option<Place> {
        // One whose streams have another identity by now would give the old one away.
        let stale = |idle: &Idle| idle.key == *key && idle.place.streams != *streams;
        drop(self.shared.take_out(|idle| stale(idle) || !idle.place.session.session().is_alive()));
        let mut state = self.shared.state();
        let at = state.idle.iter().position(|idle| idle.key == *key)?;
        Some(state.idle.swap_remove(at).place)
    }

    async fn open(&self, streams: &Session, destination: B32) -> Result<Place, Failure> {
        let permit = self.permit()?;
        let DatagramOptions { style, session: options, .. } = &self.shared.options;
        let carries_ports = streams.capabilities().datagram_ports();
        let port = if carries_ports { random_port().ok_or(Failure::RouterError)? } else { 0 };
        let ports = Ports { from: port, to: 0 };
        let options = options.clone().without_private_key();
        // Told apart by their ports, any number can be on one destination; else one.
        let claim = if carries_ports { None } else { Claim::of(&self.shared, destination) };
        let mut opened = if carries_ports || claim.is_some() {
            streams.open_datagrams(*style, ports, &options).await
        } else {
            streams.open_datagrams_apart(*style, ports, &options).await
        };
        // The place may be taken at the router by one that we gave up before its answer.
        if let (Err(Error::Refused { .. }), Some(_)) = (&opened, &claim) {
            opened = streams.open_datagrams_apart(*style, ports, &options).await;
        }
        let session = opened.map_err(|error| failure(&error))?;
        let shares_destination = session.session().destination().b32() == destination;
        let session = Arc::new(session);
        let mut state = self.shared.state();
        state.open.retain(|opened| opened.session.strong_count() > 0);
        state.open.push(Opened { session: Arc::downgrade(&session), shares_destination });
        drop(state);
        Ok(Place {
            session,
            port,
            streams: destination,
            // Given back where the router, or the session, does not lend.
            _claim: claim.filter(|_| shares_destination),
            _permit: permit,
        })
    }

    /// The sessions that are there now.
    #[must_use]
    pub fn sessions(&self) -> Vec<DatagramSessionStatus> {
        let state = self.shared.state();
        let alive = state.open.iter().filter_map(|Opened { session, shares_destination }| {
            let session = session.upgrade().filter(|session| session.session().is_alive())?;
            Some((session, *shares_destination))
        });
        let is_idle =
            |of: &Arc<DatagramSession>| state.idle.iter().any(|idle| Arc::ptr_eq(&idle.place.session, of));
        let alive: Vec<_> = alive.map(|(session, shares)| (!is_idle(&session), session, shares)).collect();
        // A session ends with its last owner, which may be this one, and not under the lock.
        drop(state);
        let status = |(in_use, session, shares_destination): (bool, Arc<DatagramSession>, bool)| {
            let destination = session.session().destination().b32();
            DatagramSessionStatus { destination, shares_destination, in_use }
        };
        alive.into_iter().map(status).collect()
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let acquire = || Arc::clone(&self.shared.permits).try_acquire_owned();
        if let Ok(permit) = acquire() {
            return Ok(permit);
        }
        let longest = {
            let mut state = self.shared.state();
            let at = (0..state.idle.len()).min_by_key(|at| state.idle.get(*at).map(|idle| idle.since));
            at.map(|at| state.idle.swap_remove(at))
        };
        drop(longest);
        acquire().map_err(|_| Failure::TooManySessions)
    }
}

/// Closes what has been unused for too long, until nothing is unused any more.
async fn reap(shared: Weak<Shared>, limit: Duration) {
    let mut next = Instant::now() + limit;
    loop {
        sleep_until(next).await;
        let Some(shared) = shared.upgrade() else { return };
        let now = Instant::now();
        drop(shared.take_out(|idle| now - idle.since >= limit));
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

/// The use of a session for datagrams. The session goes back to its pool when this is dropped.
pub(crate) struct DatagramLease {
    key: IsolationKey,
    session: Arc<DatagramSession>,
    /// Taken when it goes back.
    place: Option<Place>,
    pool: Arc<Shared>,
}

impl DatagramLease {
    /// The session.
    #[must_use]
    pub(super) fn session(&self) -> &DatagramSession {
        &self.session
    }

    /// The port to send from; 0 where the router carries none.
    #[must_use]
    pub(super) fn port(&self) -> u16 {
        self.place.as_ref().map_or(0, |place| place.port)
    }
}

impl Drop for DatagramLease {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        if !place.session.session().is_alive() {
            return;
        }
        let mut state = self.pool.state();
        state.idle.push(Idle { key: self.key.clone(), place, since: Instant::now() });
        if let (Some(limit), false, Ok(runtime)) =
            (self.pool.options.idle_close, state.reaping, tokio::runtime::Handle::try_current())
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

/// What a client is told when no session is given.
fn failure(error: &Error) -> Failure {
    match error {
        Error::Unsupported { .. } => Failure::CommandNotSupported,
        Error::SessionLost | Error::Unreachable { .. } | Error::NotSam { .. } => Failure::RouterUnavailable,
        Error::Refused { .. } => Failure::SessionRefused,
        Error::Timeout { .. } => Failure::NoTunnels,
        _ => Failure::RouterError,
    }
}
