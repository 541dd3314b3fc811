//! The sessions that clients share or do not share: as many as isolation needs, never more than the cap.

mod entry;
mod options;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use i2p_sam::{Bridge, Session};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use self::state::State;
pub use self::{
    entry::{SessionDeadlines, SessionLease, SessionStatus},
    options::{PoolFull, PoolOptions},
};
use crate::client::IsolationKey;

/// Sessions by [`IsolationKey`]. Clones are the same pool; its sessions end with the last of them and the last [`SessionLease`].
///
/// The same key gets the same session, different keys never the same. Where the cap is reached, the session that has
/// been unused for longest makes room; where all are in use, a new key is refused: sharing in silence would be worse.
#[derive(Clone)]
pub struct SessionPool {
    shared: Arc<Shared>,
    _reaper: Arc<Reaper>,
}

struct Shared {
    options: PoolOptions,
    state: Mutex<State>,
    /// Something has become unused, or is used again.
    changed: Arc<Notify>,
}

/// Ends the task that closes unused sessions, with the pool.
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

    /// Closes what has been unused for too long, and says when to look again.
    fn reap(&self) -> Option<Instant> {
        let idle_close = self.options.idle_close?;
        let mut state = self.state();
        let closed = state.close_unused(Instant::now(), idle_close);
        if closed > 0 {
            let left = state.count();
            tracing::info!(
                closed,
                left,
                "I2P sessions closed: nobody had used them for {} s",
                idle_close.as_secs()
            );
        }
        state.next_close(idle_close)
    }
}

impl SessionPool {
    /// A pool of sessions at a bridge. Its first session and its spares begin to be built at once.
    ///
    /// Has to be called within a tokio runtime.
    #[must_use]
    pub fn new(bridge: Bridge, options: PoolOptions) -> Self {
        let changed = Arc::new(Notify::new());
        let mut state = State::new(bridge, options.clone(), Arc::clone(&changed));
        state.open_spares(options.warm_spares.max(usize::from(!options.delay_open)));
        let shared = Arc::new(Shared { options, state: Mutex::new(state), changed });
        let reaper = Reaper(tokio::spawn(reap(Arc::clone(&shared))));
        Self { shared, _reaper: Arc::new(reaper) }
    }

    /// The session of this key, which is built if there is none yet. It stays for as long as the lease, and as long after
    /// that as [`PoolOptions::idle_close`] says.
    ///
    /// # Errors
    /// [`PoolFull`].
    pub fn lease(&self, key: &IsolationKey) -> Result<SessionLease, PoolFull> {
        self.shared.state().lease(key)
    }

    /// Gives the next request of this key another session, unless it has another one than this lease's already. Streams that
    /// are open stay on the old one until they end.
    pub fn renew(&self, key: &IsolationKey, lease: &SessionLease) {
        self.shared.state().renew(key, lease);
    }

    /// Gives the next request of every key another identity, and the spares too. Streams that are open stay on the old ones
    /// until they end, with up to twice [`PoolOptions::max_sessions`] in all until then.
    pub fn renew_all(&self) {
        self.shared.state().renew_all();
    }

    /// Every session that there is now. Says nothing of who uses it.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionStatus> {
        self.shared.state().sessions()
    }

    /// Comes back with the first session that is ready. Without any, or with [`PoolOptions::delay_open`], that may be never.
    pub async fn first_ready(&self) -> Option<Session> {
        let first = self.shared.state().any()?;
        Some(first.session().await)
    }
}

impl std::fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionPool").field("sessions", &self.sessions().len()).finish_non_exhaustive()
    }
}

/// Closes sessions that nobody uses, when it is time.
async fn reap(shared: Arc<Shared>) {
    loop {
        match shared.reap() {
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
