//! A bounded pool of sessions, one for each isolation key.

mod client_numbers;
mod entry;
mod options;
mod room;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_sam::{Bridge, Session};
use restart_schedule::again_after_panics;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::state::{ClosedSessions, State};
pub(crate) use self::{
    entry::{SessionDeadlines, SessionLease},
    options::NoLease,
};
pub use self::{
    entry::{SessionOwner, SessionStatus},
    options::PoolOptions,
};
use crate::client::IsolationKey;

/// How long the start waits for one session before it looks which there are.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Sessions by [`IsolationKey`]. Clones are the same pool; its sessions end with the last of them and the last lease of a session.
///
/// Equal keys get the same session, different keys never do. A client gets three quarters of the sessions that others do not use. When
/// it has its share, or the pool is full, a session is closed to make room: one that the client itself has not used for longest, or one
/// of a client that holds more. If all are in use, a session that only half-closed streams use makes room. If there is none, a new key
/// is refused rather than made to share a session.
///
/// A session that was lost is built again when a request waits for it, and then at once. What is built for nobody yet, such as
/// spares, is built one after the other, after random pauses: sessions that come back together would show that they belong to one
/// program.
#[derive(Clone)]
pub struct SessionPool {
    shared: Arc<Shared>,
    _reaper: Arc<Reaper>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when a session becomes unused, is used again or is lost, and when spares are missing.
    changed: Arc<Notify>,
}

/// Stops the task that keeps the pool tidy when the pool is dropped.
struct Reaper(JoinHandle<()>);

impl Drop for Reaper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes sessions that were lost or have been unused for too long, and builds a spare if one is due. Returns when to do so
    /// again.
    fn tidy(&self) -> Option<Instant> {
        let mut state = self.state();
        let now = Instant::now();
        state.close_lost();
        let next_close = state.options().idle_close.and_then(|idle_close| {
            let closed = state.close_unused(now, idle_close);
            log_closed(&closed, state.count(), idle_close);
            state.next_close(idle_close)
        });
        let next_spare = state.build_spare_if_due(now);
        next_close.into_iter().chain(next_spare).min()
    }
}

/// Logs that sessions were closed after `unused`, and how many are left. A pool that ends closes them at once.
fn log_closed(closed: &ClosedSessions, left: usize, unused: Duration) {
    let &ClosedSessions { idle, never_ready } = closed;
    if unused.is_zero() {
        if idle + never_ready > 0 {
            tracing::debug!(
                closed = idle + never_ready,
                left,
                "closed unused I2P sessions of a pool that ends"
            );
        }
        return;
    }
    let seconds = unused.as_secs();
    if idle > 0 {
        tracing::info!(closed = idle, left, "closed idle I2P sessions: unused for {seconds} s");
    }
    if never_ready > 0 {
        tracing::info!(
            closed = never_ready,
            left,
            "gave up I2P sessions that were never built: no client has asked for them for {seconds} s"
        );
    }
}

impl SessionPool {
    /// Creates a pool of sessions at a bridge. Begins to build its first session at once, unless that is delayed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(bridge: Bridge, options: PoolOptions) -> Self {
        let changed = Arc::new(Notify::new());
        let mut state = State::new(bridge, options, Arc::clone(&changed));
        state.open_first();
        let shared = Arc::new(Shared { state: Mutex::new(state), changed });
        let reaper = Reaper(tokio::spawn(keep_tidy(Arc::clone(&shared))));
        Self { shared, _reaper: Arc::new(reaper) }
    }

    /// Leases the session of `key`, and begins to build one if there is none. Other sessions may be closed to make room. The session
    /// stays open while it is leased, and for [`PoolOptions::idle_close`] afterwards.
    ///
    /// # Errors
    /// [`NoLease`] if the client cannot have a session now.
    pub(crate) fn lease(&self, key: &IsolationKey) -> Result<SessionLease, NoLease> {
        self.shared.state().lease(key)
    }

    /// Replaces the session of `key` if it is still the one of `lease`: the next request gets a new one. Open streams stay on the
    /// old session until they end.
    pub(crate) fn renew(&self, key: &IsolationKey, lease: &SessionLease) {
        self.shared.state().renew(key, lease);
    }

    /// Replaces all sessions and spares: the next request of each key gets a new identity. Open streams stay on the old
    /// sessions until they end. Until then there can be up to twice [`PoolOptions::max_sessions`]. Returns how many keys had a
    /// session.
    pub fn renew_all(&self) -> usize {
        self.shared.state().renew_all()
    }

    /// Does the same for the keys of clients that send this user ID or username, if their credentials keep them apart.
    pub fn renew_of(&self, user: &[u8]) -> usize {
        self.shared.state().renew_of(user)
    }

    /// Does the same for the keys that `is_renewed` chooses. A pool whose sessions all have one persistent identity keeps it.
    pub(crate) fn renew_if(&self, is_renewed: &dyn Fn(&IsolationKey) -> bool) -> usize {
        self.shared.state().renew_if(is_renewed)
    }

    /// The bridge of its sessions.
    pub(crate) fn bridge(&self) -> Bridge {
        self.shared.state().bridge().clone()
    }

    /// Changes the settings of this pool and of its clones. If they build other sessions than before, all sessions and spares are
    /// replaced as by [`renew_all`](Self::renew_all). If [`PoolOptions::max_sessions`] is lower than before, unused sessions are
    /// closed at once, and no session is opened until enough of the others have ended.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn reconfigure(&self, options: PoolOptions) {
        self.shared.state().reconfigure(options);
        // The time after which unused sessions are closed may have changed.
        self.shared.changed.notify_one();
    }

    /// Closes unused sessions and spares at once, and each other session when its last stream ends. Requests that still come get
    /// sessions.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn retire(&self) {
        let options = self.shared.state().options().clone();
        let unused = Some(Duration::ZERO);
        self.reconfigure(PoolOptions { idle_close: unused, warm_spares: 0, delay_open: true, ..options });
    }

    /// The status of every session. It does not identify clients.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionStatus> {
        self.shared.state().sessions()
    }

    /// Waits until a session is ready: a spare if there is one, otherwise any. Returns `None` if the first session is built for the first
    /// client, as with [`PoolOptions::delay_open`], and there is none yet. Uses none of them. Waits without limit. Cancel-safe.
    pub async fn first_ready(&self) -> Option<Session> {
        loop {
            let any = self.shared.state().any()?;
            // A session that nobody uses may be closed meanwhile.
            if let Ok(session) = timeout(LOOK_INTERVAL, any.session()).await {
                return Some(session);
            }
        }
    }
}

impl std::fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionPool").field("sessions", &self.sessions().len()).finish_non_exhaustive()
    }
}

/// Closes unused sessions and builds spares when they are due, for ever.
async fn keep_tidy(shared: Arc<Shared>) {
    let what = "the task that closes unused I2P sessions and builds spares";
    again_after_panics(what, || tidy_when_due(&shared)).await;
}

async fn tidy_when_due(shared: &Shared) {
    loop {
        match shared.tidy() {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = shared.changed.notified() => {}
                }
            }
            None => shared.changed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;

    /// As when somebody looks at http://proxy.i2p/ before there is a router.
    #[tokio::test(start_paused = true)]
    async fn the_start_waits_for_a_new_session_if_the_first_is_closed_before_it_is_ready() {
        let pool = SessionPool::new(Bridge::undecided(), PoolOptions::default());
        let mut ready = pin!(pool.first_ready());
        for _ in 0..2 {
            let poll = poll_fn(|context| Poll::Ready(ready.as_mut().poll(context))).await;
            assert!(poll.is_pending());
            let sessions = pool.sessions();
            assert!(sessions.len() == 1 && sessions[0].spare && sessions[0].leases == 0, "{sessions:?}");
            drop(pool.lease(&IsolationKey::default()).unwrap());
            pool.shared.state().close(&IsolationKey::default()).unwrap();
            assert!(pool.sessions().is_empty());
            tokio::time::advance(LOOK_INTERVAL).await;
        }
    }
}
