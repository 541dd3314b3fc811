//! A session that is built again when it was lost and a task waits for it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use restart_schedule::TaskRestarts;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    Session,
    pause::{growing_pause, random_part},
};
use crate::{
    bridge::Bridge,
    error::Error,
    wire::{PrivateKey, SessionOptions},
};

/// A session that is lost sooner than this counts as a failed attempt, unless it has connected a stream: a router that closes each
/// session at once must not be asked for the next one at once.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// The longest wait after such a session.
const MAX_PAUSE_AFTER_LOSS: Duration = Duration::from_secs(10);

/// Which destination a session has when it is built again. Keys that the options hold are always used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identity {
    /// A new one each time: nobody can link it to the one before.
    #[default]
    New,
    /// That of the first time, for as long as this process lives.
    Same,
}

/// How long to wait before the next attempt. Each wait is twice the one before, up to a limit, and shortened by a random
/// part of up to a half, so that the clients of one router do not try in step. While no task waits for the session, the wait is
/// longer by a random part of `unasked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The first wait.
    pub first: Duration,
    /// The limit while the router cannot be reached. An attempt costs next to nothing, and a router that is back should be
    /// noticed within a second.
    pub unreachable: Duration,
    /// The limit while the router refuses or cannot build tunnels: each attempt costs the network something.
    pub refused: Duration,
    /// How much longer an attempt may take to begin while no task waits for the session. Sessions that come back at the same
    /// moment would show that they belong to one program.
    pub unasked: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            unreachable: Duration::from_millis(900),
            refused: Duration::from_secs(60),
            unasked: Duration::from_secs(20),
        }
    }
}

impl BackOff {
    /// The wait after this number of failures in a row, the last of them with this error.
    fn wait(&self, failures: u32, error: &Error) -> Duration {
        let limit = if error.is_unreachable() { self.unreachable } else { self.refused };
        growing_pause(self.first, limit, failures)
    }

    /// The wait after this number of sessions in a row that were lost soon after they were built. Each of them cost the network
    /// tunnels.
    fn wait_after_losses(&self, losses: u32) -> Duration {
        growing_pause(self.first, self.refused.min(MAX_PAUSE_AFTER_LOSS), losses)
    }
}

/// The state of a supervised session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionState {
    /// The router is building its tunnels, or is not connected yet.
    Building {
        /// Failed attempts since it was last ready.
        failures: u32,
        /// Why the last one of them failed.
        error: Option<Arc<Error>>,
    },
    /// It can be used.
    Ready(Session),
    /// The router has closed it. It is built again once a task waits for it.
    Lost,
    /// An attempt has failed, and the next one has not begun.
    Waiting {
        /// Failed attempts since it was last ready.
        failures: u32,
        /// Why the last one failed.
        error: Arc<Error>,
        /// When the next one begins if a task waits for the session. Otherwise it begins later.
        until: Instant,
    },
}

/// How many sessions in a row were lost soon after they were built, before they had connected a stream. Clones share the number: the supervisions that follow each other
/// for one client get clones, so that a new one waits for as long as the one before it would have waited.
#[derive(Debug, Clone, Default)]
pub struct EarlyLosses(Arc<AtomicU32>);

impl EarlyLosses {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A session that is built again when it was lost and a task waits for it, on the router that then answers at the bridge. Dropping
/// this ends the supervision; a [`Session`] that was handed out lives on until it is dropped too.
#[derive(Debug)]
pub struct Supervised {
    state: watch::Receiver<SessionState>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the supervising task and the others share.
#[derive(Debug, Default)]
struct Shared {
    was_ready: AtomicBool,
    /// Since when it has not been ready.
    unready_since: Mutex<Option<Instant>>,
    /// The keys that it has each time, once they are known.
    kept_key: OnceLock<PrivateKey>,
    /// The number of tasks that wait for the session.
    waiting: watch::Sender<usize>,
}

impl Shared {
    fn set_ready(&self, ready: bool) {
        *self.unready_since() = (!ready).then(Instant::now);
    }

    fn unready_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unready_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once a task waits for the session.
    async fn asked(&self) {
        // The sender lives as long as `self`.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }

    /// Waits until the next attempt.
    async fn pause(&self, wait: Duration, unasked: Duration) {
        sleep(wait).await;
        tokio::select! {
            biased;
            () = self.asked() => {}
            () = sleep(unasked.mul_f64(random_part())) => {}
        }
    }
}

/// A task's wait for the session.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.waiting.send_modify(|waiting| *waiting += 1);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervised {
    /// Starts to build a session. Later it is built again when it was lost and a task waits for it.
    #[must_use]
    pub fn start(bridge: Bridge, options: SessionOptions, identity: Identity, back_off: BackOff) -> Self {
        Self::start_after(EarlyLosses::default(), bridge, options, identity, back_off)
    }

    /// As [`start`](Self::start), in place of a supervision with these early losses. If there were any, it waits before it builds the
    /// first session.
    #[must_use]
    pub fn start_after(
        early_losses: EarlyLosses,
        bridge: Bridge,
        options: SessionOptions,
        identity: Identity,
        back_off: BackOff,
    ) -> Self {
        let (sender, state) = watch::channel(SessionState::Building { failures: 0, error: None });
        let shared = Arc::new(Shared::default());
        shared.set_ready(false);
        let supervision = Supervision {
            bridge,
            options,
            identity,
            back_off,
            state: sender,
            shared: Arc::clone(&shared),
            failures: 0,
            last_error: None,
            early_losses,
        };
        let task = tokio::spawn(supervision.run());
        Self { state, shared, task }
    }

    /// Whether it has ever been ready. A session that is being built after that was lost.
    #[must_use]
    pub fn was_ready(&self) -> bool {
        self.shared.was_ready.load(Ordering::Relaxed)
    }

    /// Since when it has not been ready: since it was started or lost. `None` while it is ready.
    #[must_use]
    pub fn unready_since(&self) -> Option<Instant> {
        *self.shared.unready_since()
    }

    /// The keys that it will have again, with [`Identity::Same`] and once it was ready.
    #[must_use]
    pub fn kept_key(&self) -> Option<&PrivateKey> {
        self.shared.kept_key.get()
    }

    /// The state now, and each later one.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The session, if it can be used now.
    #[must_use]
    pub fn current(&self) -> Option<Session> {
        match &*self.state.borrow() {
            SessionState::Ready(session) if session.is_alive() => Some(session.clone()),
            _ => None,
        }
    }

    /// Waits until the session can be used, and has it built if it was lost. There is no time limit: the caller sets its own.
    pub async fn session(&self) -> Session {
        if let Some(session) = self.current() {
            return session;
        }
        let _waiting = Waiting::begin(&self.shared);
        let mut state = self.state.clone();
        loop {
            if let SessionState::Ready(session) = &*state.borrow_and_update()
                && session.is_alive()
            {
                return session.clone();
            }
            if state.changed().await.is_err() {
                // Not reached: the task that sends the states runs as long as this exists.
                return std::future::pending().await;
            }
        }
    }
}

/// The task that builds a session, again and again.
struct Supervision {
    bridge: Bridge,
    options: SessionOptions,
    identity: Identity,
    back_off: BackOff,
    state: watch::Sender<SessionState>,
    shared: Arc<Shared>,
    /// Failed attempts since it was last ready.
    failures: u32,
    /// Why the last one of them failed.
    last_error: Option<Arc<Error>>,
    early_losses: EarlyLosses,
}

impl Supervision {
    async fn run(mut self) {
        if let Some(wait) = self.wait_after_early_losses() {
            sleep(wait).await;
        }
        let mut restarts = TaskRestarts::new("the task that builds an I2P session");
        while restarts.run(self.build_for_ever()).await.is_none() {
            self.shared.set_ready(false);
            self.state.send_replace(SessionState::Lost);
            self.shared.asked().await;
        }
    }

    async fn build_for_ever(&mut self) {
        loop {
            self.wait_for_decision().await;
            let (failures, error) = (self.failures, self.last_error.clone());
            self.state.send_replace(SessionState::Building { failures, error });
            match self.bridge.create_session(&self.options).await {
                Ok(session) => self.keep(session).await,
                Err(error) => self.wait_after(error).await,
            }
        }
    }

    /// Waits until it is known where the bridge may be.
    async fn wait_for_decision(&self) {
        if !self.bridge.is_decided() {
            let error = Arc::new(Error::NotDecided);
            self.state.send_replace(SessionState::Waiting { failures: 0, error, until: Instant::now() });
            self.bridge.decided().await;
        }
    }

    /// Hands out a session until it is lost. Returns once a task asks for another one.
    async fn keep(&mut self, session: Session) {
        if self.failures > 0 {
            let s = if self.failures == 1 { "" } else { "s" };
            tracing::info!("the I2P session is built, after {} failed attempt{s}", self.failures);
        }
        self.failures = 0;
        self.last_error = None;
        if self.identity == Identity::Same {
            let key = self.shared.kept_key.get_or_init(|| PrivateKey::clone(session.private_key()));
            self.options = self.options.clone().private_key(PrivateKey::clone(key));
        }
        // Before the state, so that a task that sees the state also sees this.
        self.shared.was_ready.store(true, Ordering::Relaxed);
        self.shared.set_ready(true);
        self.state.send_replace(SessionState::Ready(session.clone()));
        let was_short = timeout(SHORT_LIFE, session.lost()).await.is_ok();
        session.lost().await;
        if was_short && !session.has_connected() {
            self.early_losses.add();
        } else {
            self.early_losses.forget();
        }
        self.shared.set_ready(false);
        self.bridge.session_log().closed();
        self.state.send_replace(SessionState::Lost);
        self.shared.asked().await;
        if let Some(wait) = self.wait_after_early_losses() {
            self.state.send_replace(SessionState::Waiting {
                // It was built each time.
                failures: 0,
                error: Arc::new(Error::SessionLost),
                until: Instant::now() + wait,
            });
            sleep(wait).await;
        }
    }

    /// How long to wait before a session is built in the place of one that was lost soon after it was built.
    fn wait_after_early_losses(&self) -> Option<Duration> {
        let losses = self.early_losses.count();
        (losses > 0).then(|| self.back_off.wait_after_losses(losses))
    }

    /// Waits until the next attempt.
    async fn wait_after(&mut self, error: Error) {
        self.failures += 1;
        // Only the first of a row is news.
        if self.failures == 1 {
            self.bridge.session_log().not_built(&error);
        } else {
            tracing::debug!(failures = self.failures, "no I2P session: {}", error.for_log());
        }
        let wait = self.back_off.wait(self.failures, &error);
        let until = Instant::now() + wait;
        let error = Arc::new(error);
        self.last_error = Some(Arc::clone(&error));
        self.state.send_replace(SessionState::Waiting { failures: self.failures, error, until });
        self.shared.pause(wait, self.back_off.unasked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Phase, wire::ResultWord};

    #[test]
    fn waits_grow_to_their_limit_and_differ() {
        let back_off = BackOff::default();
        let lost = Error::SessionLost;
        let refused =
            Error::Refused { phase: Phase::SessionCreate, result: ResultWord::I2pError, message: None };
        for (failures, whole_lost, whole_refused) in [
            (1, 100, 100),
            (2, 200, 200),
            (4, 800, 800),
            (5, 900, 1600),
            (40, 900, 60_000),
            (u32::MAX, 900, 60_000),
        ] {
            for (error, whole) in [(&lost, whole_lost), (&refused, whole_refused)] {
                let whole = Duration::from_millis(whole);
                for _ in 0..20 {
                    let wait = back_off.wait(failures, error);
                    assert!(wait >= whole / 2 && wait <= whole, "{failures}: {wait:?} of {whole:?}");
                }
            }
        }
        let waits: std::collections::HashSet<_> = (0..50).map(|_| back_off.wait(9, &lost)).collect();
        assert!(waits.len() > 5, "clients would try in step");
    }

    const WAIT: Duration = Duration::from_millis(500);
    const UNASKED: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn attempts_that_no_task_waits_for_begin_at_random_times() {
        let shared = Shared::default();
        let mut pauses = Vec::new();
        for _ in 0..50 {
            let begin = Instant::now();
            shared.pause(WAIT, UNASKED).await;
            pauses.push(begin.elapsed());
        }
        pauses.sort();
        assert!(pauses[0] >= WAIT && pauses[49] <= WAIT + UNASKED + WAIT, "{pauses:?}");
        // One in a hundred million runs has fifty random parts that are closer together.
        assert!(pauses[49] - pauses[0] > UNASKED / 2, "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_for_the_session_has_the_next_attempt_begin_at_once() {
        let shared = Shared::default();
        let begin = Instant::now();
        let task = async {
            sleep(2 * WAIT).await;
            Waiting::begin(&shared)
        };
        let (_waiting, ()) = tokio::join!(task, shared.pause(WAIT, 1000 * UNASKED));
        assert!(begin.elapsed() < 3 * WAIT, "it began to wait during the pause: {:?}", begin.elapsed());
        for _ in 0..10 {
            let begin = Instant::now();
            shared.pause(WAIT, UNASKED).await;
            assert!(begin.elapsed() < 2 * WAIT, "it waited before: {:?}", begin.elapsed());
        }
    }
}
