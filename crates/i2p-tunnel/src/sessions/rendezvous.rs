//! Where the streams that peers open to a session meet those who wait for them. A router gives a stream to whichever STREAM ACCEPT
//! of the session came first, whoever asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use i2p_name::B32;
use i2p_sam::{Accepted as Peer, Error, Listening, Session};
use tokio::sync::{Notify, oneshot};

/// Who waits for peers on one session.
///
/// There is a STREAM ACCEPT for each of them, and what comes to any of those goes to whoever it is for.
#[derive(Default)]
pub(crate) struct Rendezvous {
    state: Mutex<State>,
    /// Somebody has gone, so that there may be a STREAM ACCEPT too many.
    gone: Notify,
}

#[derive(Default)]
struct State {
    /// Who waits, the longest first.
    places: Vec<Place>,
    /// Tasks that have a STREAM ACCEPT.
    accepting: usize,
    /// For the next place.
    number: u64,
}

struct Place {
    number: u64,
    /// Whom it waits for; nothing is anybody.
    expected: Option<B32>,
    hand_over: oneshot::Sender<Result<Peer, Error>>,
}

impl State {
    /// Gives a stream to the one who waits for that peer, else to one who waits for anybody. Where nobody does, it is closed.
    fn give(&mut self, mut peer: Peer) -> bool {
        let who = peer.peer.b32();
        loop {
            let of = |expected| self.places.iter().position(|place| place.expected == expected);
            let Some(at) = of(Some(who)).or_else(|| of(None)) else {
                tracing::debug!("a peer that was not asked for was turned away");
                return false;
            };
            match self.places.remove(at).hand_over.send(Ok(peer)) {
                Err(Ok(back)) => peer = back,
                _ => return true,
            }
        }
    }
}

impl Rendezvous {
    /// Begins to wait: once this comes back, peers that connect are taken.
    pub(crate) async fn wait(
        self: Arc<Self>,
        session: &Session,
        expected: Option<B32>,
    ) -> Result<Waiting, Error> {
        let listening = session.listen().await?;
        let (hand_over, peer) = oneshot::channel();
        let number = {
            let mut state = self.state();
            state.number += 1;
            state.accepting += 1;
            let number = state.number;
            state.places.push(Place { number, expected, hand_over });
            number
        };
        tokio::spawn(Arc::clone(&self).accept(session.clone(), listening));
        Ok(Waiting { rendezvous: self, number, peer })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes streams until one of them was for somebody.
    async fn accept(self: Arc<Self>, session: Session, mut listening: Listening) {
        loop {
            let Some(peer) = self.unless_needless(listening.accept()).await else { return };
            if self.is_done_with(peer) {
                return;
            }
            let Some(again) = self.unless_needless(session.listen()).await else { return };
            listening = match again {
                Ok(listening) => listening,
                Err(error) => {
                    self.is_done_with(Err(error));
                    return;
                }
            };
        }
    }

    /// Whether somebody has it now, who waits no more. An error is for whoever has waited for longest.
    fn is_done_with(&self, peer: Result<Peer, Error>) -> bool {
        let mut state = self.state();
        let done = match peer {
            Ok(peer) => state.give(peer),
            Err(error) => {
                if !state.places.is_empty() {
                    let _ = state.places.remove(0).hand_over.send(Err(error));
                }
                true
            }
        };
        state.accepting -= usize::from(done);
        done
    }

    /// Nothing, when there are more that accept than wait: the caller is to end then.
    async fn unless_needless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            // Before the look at who waits, so that nobody goes unnoticed.
            let gone = self.gone.notified();
            {
                let mut state = self.state();
                if state.accepting > state.places.len() {
                    state.accepting -= 1;
                    return None;
                }
            }
            tokio::select! {
                biased;
                result = work.as_mut() => return Some(result),
                () = gone => {}
            }
        }
    }
}

/// Somebody who waits for a peer, until dropped.
pub(crate) struct Waiting {
    rendezvous: Arc<Rendezvous>,
    number: u64,
    peer: oneshot::Receiver<Result<Peer, Error>>,
}

impl Waiting {
    /// The stream of the peer, once.
    pub(crate) async fn peer(&mut self) -> Result<Peer, Error> {
        (&mut self.peer).await.unwrap_or(Err(Error::SessionLost))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.rendezvous.state();
        let before = state.places.len();
        state.places.retain(|place| place.number != self.number);
        // One who has gone may have been given a stream in this moment that another waits for.
        if let Ok(Ok(peer)) = self.peer.try_recv() {
            state.give(peer);
        }
        let fewer = state.places.len() < before;
        drop(state);
        if fewer {
            self.rendezvous.gone.notify_waiters();
        }
    }
}
