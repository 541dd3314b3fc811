use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use i2p_name::B32;
use i2p_sam::{Session, SessionState, Supervised};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{failure::Failure, sessions::rendezvous::Rendezvous};

/// One session of a pool, and who uses it.
pub(super) struct Entry {
    supervised: Supervised,
    /// Since when it has been there or built, where it is for a client that had come.
    asked_for: Option<Instant>,
    usage: Mutex<Usage>,
    changed: Arc<Notify>,
    /// Where peers of the session with this destination are waited for; nothing, before anybody has.
    rendezvous: Mutex<Option<(B32, Arc<Rendezvous>)>>,
}

#[derive(Clone, Copy)]
struct Usage {
    leases: usize,
    /// Since when there has been no lease, or since when there have been some.
    since: Instant,
}

impl Entry {
    /// For a client that has come, or else for one that is still to come.
    pub(super) fn new(supervised: Supervised, for_client: bool, changed: Arc<Notify>) -> Self {
        let now = Instant::now();
        let usage = Mutex::new(Usage { leases: 0, since: now });
        let asked_for = for_client.then_some(now);
        Self { supervised, asked_for, usage, changed, rendezvous: Mutex::default() }
    }

    fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when nobody has used it; nothing, if somebody does.
    pub(super) fn unused_since(&self) -> Option<Instant> {
        let usage = self.usage();
        (usage.leases == 0).then_some(usage.since)
    }

    pub(super) fn supervised(&self) -> &Supervised {
        &self.supervised
    }

    pub(super) fn status(&self, spare: bool) -> SessionStatus {
        let usage = self.usage();
        let state = self.supervised.state().borrow().clone();
        let first_time =
            matches!(state, SessionState::Building { failures: 0 }) && !self.supervised.was_ready();
        SessionStatus {
            state,
            built_for_client: self.asked_for.filter(|_| first_time).map(|since| since.elapsed()),
            leases: usage.leases,
            unused: (usage.leases == 0).then(|| usage.since.elapsed()),
            spare,
        }
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let before = usage.leases;
        usage.leases = change(before);
        if (before == 0) != (usage.leases == 0) {
            usage.since = Instant::now();
            self.changed.notify_one();
        }
    }
}

/// What a session of a pool is doing.
#[derive(Debug, Clone)]
pub struct SessionStatus {
    /// Whether it is there.
    pub state: SessionState,
    /// Requests and streams that use it.
    pub leases: usize,
    /// How long nobody has used it.
    pub unused: Option<Duration>,
    /// Whether it waits for a client that is still to come.
    pub spare: bool,
    /// How long it has been built for a client that came when there was none for it, if that is so: it was not lost, and nothing
    /// has failed yet.
    pub built_for_client: Option<Duration>,
}

/// How long a request waits for a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionDeadlines {
    /// While the router cannot be reached, or refuses.
    pub router: Instant,
    /// While the router builds tunnels.
    pub tunnels: Instant,
}

/// The right to use a session. The session is not closed before all of its leases are dropped.
pub struct SessionLease {
    entry: Arc<Entry>,
}

impl SessionLease {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        entry.count(|leases| leases + 1);
        Self { entry }
    }

    pub(super) fn is_of(&self, entry: &Arc<Entry>) -> bool {
        Arc::ptr_eq(&self.entry, entry)
    }

    /// Where peers of this session, which is this lease's, are waited for.
    pub(crate) fn rendezvous(&self, session: &Session) -> Arc<Rendezvous> {
        let own = session.destination().b32();
        let mut rendezvous = self.entry.rendezvous.lock().unwrap_or_else(PoisonError::into_inner);
        match &*rendezvous {
            Some((of, found)) if *of == own => Arc::clone(found),
            _ => Arc::clone(&rendezvous.insert((own, Arc::default())).1),
        }
    }

    /// The session, as soon as it is there. Waits for ever.
    pub async fn session(&self) -> Session {
        self.entry.supervised.session().await
    }

    /// The session, or why there is none within these limits.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] where the router cannot be reached, [`Failure::SessionRefused`] where it does not give a
    /// session, [`Failure::NoTunnels`] where it does not come to an end.
    pub async fn session_within(&self, wait: SessionDeadlines) -> Result<Session, Failure> {
        tokio::select! {
            biased;
            session = self.session() => Ok(session),
            failure = self.given_up(wait) => Err(failure),
        }
    }

    /// Comes back when it is no use to wait any longer.
    async fn given_up(&self, wait: SessionDeadlines) -> Failure {
        let mut state = self.entry.supervised.state();
        // Nothing failed yet: the router is at work, and may be for as long as tunnels take.
        let mut trouble = None;
        loop {
            match &*state.borrow_and_update() {
                SessionState::Waiting { error, .. } if error.is_unreachable() => {
                    trouble = Some(Failure::RouterUnavailable);
                }
                SessionState::Waiting { .. } => trouble = Some(Failure::SessionRefused),
                SessionState::Building { failures: 0 } => trouble = None,
                _ => {}
            }
            let (until, failure) = match trouble {
                Some(failure) => (wait.router, failure),
                None => (wait.tunnels, Failure::NoTunnels),
            };
            tokio::select! {
                () = sleep_until(until) => return failure,
                changed = state.changed() => if changed.is_err() { return Failure::RouterUnavailable },
            }
        }
    }
}

impl Drop for SessionLease {
    fn drop(&mut self) {
        self.entry.count(|leases| leases.saturating_sub(1));
    }
}

impl std::fmt::Debug for SessionLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLease").finish_non_exhaustive()
    }
}
