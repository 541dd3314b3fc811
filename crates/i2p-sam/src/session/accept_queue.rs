//! The tasks that wait for peers of one session, where the router keeps one STREAM ACCEPT of a session at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use super::{
    Session, WeakSession,
    accept::{AcceptConnection, Accepted},
};
use crate::error::Error;

/// How often in a row the router may close a waiting STREAM ACCEPT before a task that waits is told. i2pd closes one when another
/// program interferes; the peers wait at the router for 10 s.
const MAX_SILENT_RESETS: u32 = 3;

/// The tasks that wait for peers of one session. While there are any, one task of its own holds the STREAM ACCEPT, and hands each
/// stream to the task that has waited for longest.
#[derive(Default)]
pub(super) struct AcceptQueue {
    state: Mutex<State>,
    /// Notified when a task stops waiting.
    left: Notify,
}

#[derive(Default)]
struct State {
    /// The waiting tasks, oldest first.
    waiting: VecDeque<WaitingTask>,
    /// The number of the latest one.
    last_number: u64,
    /// Whether there is a task that holds the STREAM ACCEPT, or is about to.
    is_served: bool,
    /// Whether the router has agreed to the STREAM ACCEPT.
    is_accepting: bool,
}

struct WaitingTask {
    number: u64,
    /// Tells it that the router accepts peers, until it was told.
    begun: Option<oneshot::Sender<Result<(), Error>>>,
    peer: oneshot::Sender<Result<Accepted, Error>>,
}

impl WaitingTask {
    /// Tells it that the router accepts peers, unless it was told.
    fn begin(&mut self) {
        if let Some(begun) = self.begun.take() {
            // The task may have gone just now.
            let _ = begun.send(Ok(()));
        }
    }
}

impl State {
    /// Hands a stream to the task that has waited for longest. Closes it if there is none.
    fn hand_over(&mut self, mut peer: Accepted) {
        while let Some(task) = self.waiting.pop_front() {
            match task.peer.send(Ok(peer)) {
                Err(Ok(back)) => peer = back,
                _ => return,
            }
        }
    }

    /// Tells the task that has waited for longest why it gets no stream.
    fn fail_oldest(&mut self, error: Error) {
        let Some(task) = self.waiting.pop_front() else { return };
        // The task may have gone just now.
        match task.begun {
            Some(begun) => drop(begun.send(Err(error))),
            None => drop(task.peer.send(Err(error))),
        }
    }
}

impl AcceptQueue {
    /// Begins to wait for a peer.
    pub(super) fn join(self: &Arc<Self>, session: &Session) -> QueuedAccept {
        let (begun, begins) = oneshot::channel();
        let (peer, arrives) = oneshot::channel();
        let mut state = self.state();
        state.last_number += 1;
        let number = state.last_number;
        let mut task = WaitingTask { number, begun: Some(begun), peer };
        if state.is_accepting {
            task.begin();
        }
        state.waiting.push_back(task);
        if !std::mem::replace(&mut state.is_served, true) {
            tokio::spawn(serve(Arc::clone(self), session.downgrade()));
        }
        drop(state);
        QueuedAccept { queue: Arc::clone(self), number, begins, arrives }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a task waits. If none does, the next one is served anew.
    fn is_needed(&self) -> bool {
        let mut state = self.state();
        state.is_served = !state.waiting.is_empty();
        state.is_served
    }

    /// Returns once no task waits.
    async fn unneeded(&self) {
        loop {
            // Created before the tasks are counted, so that no notification is missed.
            let left = self.left.notified();
            if self.state().waiting.is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Tells all tasks that the session is lost.
    fn lose_all(&self) {
        let mut state = self.state();
        state.is_served = false;
        // Each of them takes the end of its channel for it.
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }

    /// Accepts one stream and hands it over. Returns the connection if it is not needed any more.
    async fn accept_one(&self, session: Session) -> Option<AcceptConnection> {
        tokio::select! {
            () = session.pauses().passed() => {}
            () = self.unneeded() => return None,
        }
        let open = AcceptConnection::open(session.router(), session.id());
        let mut connection = match session.unless_lost(open).await {
            Ok(connection) => connection,
            Err(error) => return self.failed(&session, error, 0),
        };
        self.begun();
        let peer = tokio::select! {
            biased;
            peer = session.unless_lost(connection.peer()) => Some(peer),
            () = self.unneeded() => None,
        };
        self.state().is_accepting = false;
        match peer {
            None => return Some(connection),
            Some(Ok(peer)) => {
                session.pauses().succeeded();
                self.state().hand_over(connection.accepted(peer));
            }
            Some(Err(error)) => return self.failed(&session, error, MAX_SILENT_RESETS),
        }
        None
    }

    /// Tells all tasks that the router accepts peers.
    fn begun(&self) {
        let mut state = self.state();
        state.is_accepting = true;
        state.waiting.iter_mut().for_each(WaitingTask::begin);
    }

    /// Begins a pause, and tells a task why, unless the connection was closed without a word and not more often than this in a row.
    fn failed<T>(&self, session: &Session, error: Error, silent_resets: u32) -> Option<T> {
        if matches!(error, Error::SessionLost) {
            self.lose_all();
            return None;
        }
        let failures = session.pauses().failed();
        if !matches!(error, Error::Closed { .. }) || failures > silent_resets {
            self.state().fail_oldest(error);
        }
        None
    }
}

/// Holds the STREAM ACCEPT of a session while a task waits. It keeps the session only while it needs it.
async fn serve(queue: Arc<AcceptQueue>, session: WeakSession) {
    while queue.is_needed() {
        let Some(session) = session.upgrade() else { return queue.lose_all() };
        if let Some(unneeded) = queue.accept_one(session).await {
            unneeded.withdraw().await;
        }
    }
}

/// A task's place in the queue. Dropping it ends the wait.
pub(super) struct QueuedAccept {
    queue: Arc<AcceptQueue>,
    number: u64,
    begins: oneshot::Receiver<Result<(), Error>>,
    arrives: oneshot::Receiver<Result<Accepted, Error>>,
}

impl QueuedAccept {
    /// Returns once the router accepts peers. Not to be called again after that.
    pub(super) async fn begun(&mut self) -> Result<(), Error> {
        (&mut self.begins).await.unwrap_or(Err(Error::SessionLost))
    }

    /// Waits for a peer. Returns it once.
    pub(super) async fn peer(&mut self) -> Result<Accepted, Error> {
        (&mut self.arrives).await.unwrap_or(Err(Error::SessionLost))
    }
}

impl Drop for QueuedAccept {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.waiting.retain(|task| task.number != self.number);
        // A stream that was handed over just now is for the next task.
        if let Ok(Ok(peer)) = self.arrives.try_recv() {
            state.hand_over(peer);
        }
        drop(state);
        self.queue.left.notify_one();
    }
}
