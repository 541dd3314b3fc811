use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::Destination;
use i2p_sam::{Error, Session, SessionState, Supervised};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::{
    client::{ClientOrigin, HeldSession, IsolationKey},
    failure::Failure,
    names::NameCache,
    sessions::rendezvous::Rendezvous,
    stream::{HalfClosedStream, Hold},
};

/// One session of a pool, and how it is used.
pub(super) struct Entry {
    supervised: Supervised,
    /// When it was begun; `None` if it replaces one that was lost.
    begun: Option<Instant>,
    usage: Mutex<Usage>,
    /// Notified when it becomes unused, is used again or is lost.
    changed: Arc<Notify>,
    /// What belongs to the destination that the session has now. `None` until it is needed.
    identity: Mutex<Option<IdentityState>>,
}

/// What belongs to one destination. It ends with it, so that a later destination of the same clients cannot be linked to it.
struct IdentityState {
    destination: Destination,
    /// Matches incoming streams with waiting clients.
    rendezvous: Arc<Rendezvous>,
    /// The names that were looked up.
    names: NameCache,
}

/// For whom a session is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For a client that is waiting for it.
    Client,
    /// For a future client.
    Spare,
    /// For a future client, because a session was lost.
    SpareAfterLoss,
}

struct Usage {
    leases: usize,
    /// When `leases` last changed from or to 0.
    since: Instant,
    /// The half-closed streams among the users. Some may have ended.
    half_closed: Vec<HalfClosedStream>,
    /// Whether these were told to end. No request leases it any more.
    ending: bool,
    /// The client whose share it counts towards: the one that has used it for longest without a pause, or used it last.
    holder: Option<ClientOrigin>,
    /// The client that had it opened.
    opened_by: Option<ClientOrigin>,
    /// The contained programs that have leased it, except those that had ended when another one did.
    programs: Vec<ClientOrigin>,
}

impl Entry {
    pub(super) fn new(supervised: Supervised, purpose: Purpose, changed: Arc<Notify>) -> Self {
        let now = Instant::now();
        let usage = Mutex::new(Usage {
            leases: 0,
            since: now,
            half_closed: Vec::new(),
            ending: false,
            holder: None,
            opened_by: None,
            programs: Vec::new(),
        });
        let begun = (purpose != Purpose::SpareAfterLoss).then_some(now);
        tokio::spawn(notify_of_trouble(supervised.state(), Arc::clone(&changed)));
        Self { supervised, begun, usage, changed, identity: Mutex::default() }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the session, without limit. Cancel-safe.
    pub(super) async fn session(&self) -> Session {
        self.supervised.session().await
    }

    /// When it was last used. `None` while it is in use.
    pub(super) fn unused_since(&self) -> Option<Instant> {
        let usage = self.usage();
        (usage.leases == 0).then_some(usage.since)
    }

    /// Since when only half-closed streams use it. `None` if it is unused, something else uses it, or they were told to end.
    pub(super) fn half_closed_since(&self) -> Option<Instant> {
        let mut usage = self.usage();
        usage.half_closed.retain(HalfClosedStream::is_open);
        let all = !usage.ending && usage.half_closed.len() == usage.leases;
        usage.half_closed.iter().map(HalfClosedStream::since).max().filter(|_| all)
    }

    /// Ends all half-closed streams that use it. From now on no request may lease it.
    pub(super) fn end_streams(&self) {
        let mut usage = self.usage();
        usage.ending = true;
        usage.half_closed.iter().for_each(HalfClosedStream::end);
    }

    /// Whether it is in use by streams that were not told to end.
    pub(super) fn stays_in_use(&self) -> bool {
        let usage = self.usage();
        usage.leases > 0 && !usage.ending
    }

    /// Keeps a half-closed stream that uses it.
    fn add_half_closed(&self, stream: &HalfClosedStream) {
        let mut usage = self.usage();
        if usage.half_closed.len() == usage.half_closed.capacity() {
            usage.half_closed.retain(HalfClosedStream::is_open);
        }
        usage.half_closed.push(stream.clone());
    }

    /// Whether it is unused, and was lost or cannot be built because the router is away.
    pub(super) fn is_lost_and_unused(&self) -> bool {
        self.unused_since().is_some() && is_lost(&self.supervised.state().borrow())
    }

    /// Who holds it, for the choice which session to close.
    pub(super) fn held(&self) -> HeldSession {
        let usage = self.usage();
        HeldSession::new(usage.holder, (usage.leases == 0).then_some(usage.since)).used_by(&usage.programs)
    }

    /// The client that had it opened.
    pub(super) fn opened_by(&self) -> Option<ClientOrigin> {
        self.usage().opened_by
    }

    /// Notes that it was opened for this client, and counts it towards its share, even if it is a spare that the program itself
    /// still waits for.
    pub(super) fn open_for(&self, client: Option<ClientOrigin>) {
        let mut usage = self.usage();
        usage.opened_by = client;
        usage.holder = client;
        usage.programs.extend(client.filter(|client| client.is_one_of_several()));
    }

    /// Counts it towards the share of a client that is about to lease it, unless another one is using it.
    pub(super) fn count_for(&self, client: Option<ClientOrigin>) {
        let mut usage = self.usage();
        if usage.leases == 0 {
            usage.holder = client;
        }
        let Some(program) = client.filter(|client| client.is_one_of_several()) else { return };
        if !usage.programs.contains(&program) {
            usage.programs.retain(|other| !other.has_ended());
            usage.programs.push(program);
        }
    }

    pub(super) fn supervised(&self) -> &Supervised {
        &self.supervised
    }

    /// The status of a session that a key has.
    pub(super) fn status(&self) -> SessionStatus {
        let state = self.supervised.state().borrow().clone();
        let first_time =
            matches!(state, SessionState::Building { failures: 0, .. }) && !self.supervised.was_ready();
        let usage = self.usage();
        SessionStatus {
            state,
            unready: self.supervised.unready_since().map(|since| since.elapsed()),
            owner: None,
            first_build: self.begun.filter(|_| first_time).map(|since| since.elapsed()),
            leases: usage.leases,
            unused: (usage.leases == 0).then(|| usage.since.elapsed()),
            spare: false,
        }
    }

    /// The status of the session of a key, whose client has this number.
    pub(super) fn status_of_key(&self, key: &IsolationKey, client: Option<usize>) -> SessionStatus {
        let owner = SessionOwner { client, kept_apart_by: key.kept_apart_by() };
        SessionStatus { owner: Some(owner), ..self.status() }
    }

    /// The status of a spare.
    pub(super) fn spare_status(&self) -> SessionStatus {
        SessionStatus { spare: true, ..self.status() }
    }

    /// Changes the number of leases, and notifies the pool if the session becomes used or unused.
    fn change_leases(&self, change: impl FnOnce(usize) -> usize) {
        let mut usage = self.usage();
        let before = usage.leases;
        usage.leases = change(before);
        if (before == 0) != (usage.leases == 0) {
            usage.since = Instant::now();
            self.changed.notify_one();
        }
        if usage.leases == 0 {
            usage.half_closed = Vec::new();
        }
    }
}

fn is_lost(state: &SessionState) -> bool {
    match state {
        SessionState::Lost => true,
        SessionState::Waiting { error, .. } => error.is_unreachable(),
        _ => false,
    }
}

/// Notifies the pool whenever a session is lost or the router is away, until the session's supervision ends.
async fn notify_of_trouble(mut state: watch::Receiver<SessionState>, changed: Arc<Notify>) {
    while state.changed().await.is_ok() {
        if is_lost(&state.borrow_and_update()) {
            changed.notify_one();
        }
    }
}

/// The status of a session of a pool.
#[derive(Debug, Clone)]
pub struct SessionStatus {
    /// Whether it is ready, being built, or waiting for the next attempt.
    pub state: SessionState,
    /// How long it has not been ready: since it was begun or lost. `None` while it is ready.
    pub unready: Option<Duration>,
    /// For whom it is. `None` for spares, and for sessions that were replaced and are still in use.
    pub owner: Option<SessionOwner>,
    /// The number of requests and streams that use it.
    pub leases: usize,
    /// How long it has been unused. `None` while it is in use.
    pub unused: Option<Duration>,
    /// Whether it is a spare for a future client.
    pub spare: bool,
    /// How long its first build has taken so far, while no attempt has failed. `None` otherwise, and for a spare that replaces a
    /// session that was lost.
    pub first_build: Option<Duration>,
}

/// For whom a session is, without what identifies a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOwner {
    /// The number of the client among the clients that have sessions of this pool now, from 1. It stays the same for as long as a client
    /// has one. `None`: the program itself.
    pub client: Option<usize>,
    /// The properties that keep it apart from other sessions, in the words of `isolate` in the configuration.
    pub kept_apart_by: Vec<&'static str>,
}

/// Until when a request waits for a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionDeadlines {
    /// While the router cannot be reached, or refuses the session.
    pub router: Instant,
    /// While the router builds tunnels.
    pub tunnels: Instant,
}

/// The right to use a session of a pool. The pool closes a session only after all its leases are dropped.
pub(crate) struct SessionLease {
    entry: Arc<Entry>,
}

impl SessionLease {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        entry.change_leases(|leases| leases + 1);
        Self { entry }
    }

    pub(super) fn is_of(&self, entry: &Arc<Entry>) -> bool {
        Arc::ptr_eq(&self.entry, entry)
    }

    /// The rendezvous of `session`, the current session of this lease.
    pub(crate) fn rendezvous(&self, session: &Session) -> Arc<Rendezvous> {
        self.of_identity(session, |identity| Arc::clone(&identity.rendezvous))
    }

    /// The names that were looked up on `session`, the current session of this lease.
    pub(crate) fn names(&self, session: &Session) -> NameCache {
        self.of_identity(session, |identity| identity.names.clone())
    }

    fn of_identity<T>(&self, session: &Session, take: impl Fn(&IdentityState) -> T) -> T {
        let mut identity = self.entry.identity.lock().unwrap_or_else(PoisonError::into_inner);
        match &*identity {
            Some(current) if current.destination == *session.destination() => take(current),
            _ => take(identity.insert(IdentityState {
                destination: session.destination().clone(),
                rendezvous: Arc::default(),
                names: NameCache::default(),
            })),
        }
    }

    /// The session, if it can be used now. Unlike [`session_within`](Self::session_within), this does not hurry its supervision.
    pub(crate) fn current(&self) -> Option<Session> {
        self.entry.supervised.current()
    }

    /// Waits for the session until one of the deadlines. Cancel-safe.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] if the router cannot be reached, [`Failure::SessionRefused`] if it refuses the session,
    /// [`Failure::NoTunnels`] if it does not finish building tunnels.
    pub(crate) async fn session_within(&self, deadlines: SessionDeadlines) -> Result<Session, Failure> {
        tokio::select! {
            biased;
            session = self.entry.session() => Ok(session),
            failure = self.deadline_passed(deadlines) => Err(failure),
        }
    }

    /// Returns once the deadline for the session's current state has passed.
    async fn deadline_passed(&self, deadlines: SessionDeadlines) -> Failure {
        let mut state = self.entry.supervised.state();
        // None while nothing but tunnels is missing.
        let mut trouble = None;
        loop {
            match &*state.borrow_and_update() {
                SessionState::Waiting { error, .. } if error.is_unreachable() => {
                    trouble = Some(Failure::RouterUnavailable);
                }
                // It said nothing: its tunnels were not built.
                SessionState::Waiting { error, .. } if matches!(**error, Error::Timeout { .. }) => {
                    trouble = None;
                }
                SessionState::Waiting { .. } => trouble = Some(Failure::SessionRefused),
                SessionState::Building { failures: 0, .. } => trouble = None,
                _ => {}
            }
            let (until, failure) = match trouble {
                Some(failure) => (deadlines.router, failure),
                None => (deadlines.tunnels, Failure::NoTunnels),
            };
            tokio::select! {
                () = sleep_until(until) => return failure,
                changed = state.changed() => if changed.is_err() { return Failure::RouterUnavailable },
            }
        }
    }
}

/// A half-closed stream ends when another client needs its session.
impl Hold for SessionLease {
    fn half_closed(&self, stream: &HalfClosedStream) {
        self.entry.add_half_closed(stream);
    }
}

impl Drop for SessionLease {
    fn drop(&mut self) {
        self.entry.change_leases(|leases| leases.saturating_sub(1));
    }
}

impl std::fmt::Debug for SessionLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLease").finish_non_exhaustive()
    }
}
