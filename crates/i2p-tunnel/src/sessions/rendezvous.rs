//! Matches the streams that peers open to a session with the clients that wait for them. This is necessary because a stream goes to
//! the task that has accepted on the session for longest, whichever peer its client expects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use i2p_name::B32;
use i2p_sam::{Accepted as Peer, Error, Listening, Session};
use restart_schedule::caught;
use tokio::sync::{Notify, oneshot};

/// The clients that wait for peers on one session.
///
/// There is one accepting task for each of them. A stream that any of them receives is handed to the client that expects its peer.
/// Where the router has one STREAM ACCEPT of a session at a time, `i2p-sam` has the tasks wait in a queue.
#[derive(Default)]
pub(crate) struct Rendezvous {
    state: Mutex<State>,
    /// Notified when a client stops waiting, since there may then be one accepting task too many.
    left: Notify,
}

#[derive(Default)]
struct State {
    /// The waiting clients, oldest first.
    waiting: Vec<WaitingClient>,
    /// The number of tasks that accept.
    accepting: usize,
    /// Number of the latest waiting client.
    last_number: u64,
}

struct WaitingClient {
    number: u64,
    /// The peer that it waits for. `None`: any.
    expected: Option<B32>,
    stream: oneshot::Sender<Result<Peer, Error>>,
}

impl State {
    /// Hands a stream to the oldest client that waits for this peer, otherwise to the oldest that waits for any. Closes it and
    /// returns `false` if there is none.
    fn hand_over(&mut self, mut peer: Peer) -> bool {
        let address = peer.peer.b32();
        loop {
            let oldest = |expected| self.waiting.iter().position(|client| client.expected == expected);
            let Some(at) = oldest(Some(address)).or_else(|| oldest(None)) else {
                tracing::debug!("refused a peer that no client waits for");
                return false;
            };
            match self.waiting.remove(at).stream.send(Ok(peer)) {
                Err(Ok(back)) => peer = back,
                _ => return true,
            }
        }
    }
}

impl Rendezvous {
    /// Begins to wait for `expected`, or for any peer if it is `None`. Once this returns, peers can connect.
    pub(crate) async fn wait(
        self: Arc<Self>,
        session: &Session,
        expected: Option<B32>,
    ) -> Result<PeerWait, Error> {
        let listening = session.listen().await?;
        let (stream, peer) = oneshot::channel();
        let number = {
            let mut state = self.state();
            state.last_number += 1;
            state.accepting += 1;
            let number = state.last_number;
            state.waiting.push(WaitingClient { number, expected, stream });
            number
        };
        let (acceptor, session) = (Arc::clone(&self), session.clone());
        tokio::spawn(async move {
            if caught(acceptor.accept(session, listening)).await.is_err() {
                acceptor.lose_acceptor();
            }
        });
        Ok(PeerWait { rendezvous: self, number, peer })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts streams until one of them is handed to a client, or there are more acceptors than waiting clients.
    async fn accept(&self, session: Session, mut listening: Listening) {
        loop {
            let Some(peer) = self.while_needed(listening.accept()).await else { return };
            if self.deliver(peer) {
                return;
            }
            let Some(again) = self.while_needed(session.listen()).await else { return };
            listening = match again {
                Ok(listening) => listening,
                Err(error) => {
                    self.deliver(Err(error));
                    return;
                }
            };
        }
    }

    /// Delivers a stream to its client, or an error to the client that has waited for longest. Returns whether this acceptor is
    /// done.
    fn deliver(&self, peer: Result<Peer, Error>) -> bool {
        let mut state = self.state();
        let done = match peer {
            Ok(peer) => state.hand_over(peer),
            Err(error) => {
                if !state.waiting.is_empty() {
                    let _ = state.waiting.remove(0).stream.send(Err(error));
                }
                true
            }
        };
        state.accepting -= usize::from(done);
        done
    }

    /// Removes an acceptor that panicked, and tells the client that has waited for longest if there are too few left. Otherwise this
    /// identity would never be reached again.
    fn lose_acceptor(&self) {
        let mut state = self.state();
        state.accepting = state.accepting.saturating_sub(1);
        if state.waiting.len() > state.accepting {
            let _ = state.waiting.remove(0).stream.send(Err(Error::SessionLost));
        }
    }

    /// Runs `work`. Returns `None` once there are more acceptors than waiting clients: then the calling acceptor must end.
    async fn while_needed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            // Created before the count below is read, so that no notification is missed.
            let left = self.left.notified();
            {
                let mut state = self.state();
                if state.accepting > state.waiting.len() {
                    state.accepting -= 1;
                    return None;
                }
            }
            tokio::select! {
                biased;
                result = work.as_mut() => return Some(result),
                () = left => {}
            }
        }
    }
}

/// A client's wait for a peer. Dropping it ends the wait.
pub(crate) struct PeerWait {
    rendezvous: Arc<Rendezvous>,
    number: u64,
    peer: oneshot::Receiver<Result<Peer, Error>>,
}

impl PeerWait {
    /// Waits for the peer's stream. Returns it once. Cancel-safe.
    pub(crate) async fn peer(&mut self) -> Result<Peer, Error> {
        (&mut self.peer).await.unwrap_or(Err(Error::SessionLost))
    }
}

impl Drop for PeerWait {
    fn drop(&mut self) {
        let mut state = self.rendezvous.state();
        let before = state.waiting.len();
        state.waiting.retain(|client| client.number != self.number);
        // A stream that was just handed over here may be for another client.
        if let Ok(Ok(peer)) = self.peer.try_recv() {
            state.hand_over(peer);
        }
        let fewer = state.waiting.len() < before;
        drop(state);
        if fewer {
            self.rendezvous.left.notify_waiters();
        }
    }
}
