//! Turns at something costly, shared fairly between clients.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::client::ClientOrigin;

/// After this time, the turns that a client has had count half, and so on. So a client that was wrong once is soon like a new one, and
/// endless new clients cannot keep it waiting.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// Most clients whose turns are remembered. Beyond that, the one whose turns count least is forgotten early.
const MAX_REMEMBERED: usize = 4096;

/// A number of turns that can be taken at one time. The next one goes to the waiting client that has had fewest lately, and of those to
/// the one that asked first. So a new client waits for at most one turn of each other new client, however many turns others wait for.
/// Clones share the turns.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// The requests of each client for a turn, the oldest first.
    waiting: HashMap<ClientOrigin, VecDeque<Waiting>>,
    /// The turns that each client has had lately.
    taken: HashMap<ClientOrigin, Taken>,
    /// The number of the latest request.
    last_number: u64,
    /// Who was given a turn, in this order.
    #[cfg(test)]
    given: Vec<ClientOrigin>,
}

/// The turns that a client has had.
#[derive(Clone, Copy)]
struct Taken {
    /// What they counted at the time of the last one.
    count: u32,
    last: Instant,
}

impl Taken {
    /// What they count at a later time.
    fn lately(self, now: Instant) -> u32 {
        let halvings = now.saturating_duration_since(self.last).as_secs() / HALF_LIFE.as_secs();
        u32::try_from(halvings).ok().and_then(|halvings| self.count.checked_shr(halvings)).unwrap_or(0)
    }
}

/// A request for a turn.
struct Waiting {
    number: u64,
    turn: oneshot::Sender<Turn>,
}

/// A turn, until this is dropped.
pub(super) struct Turn {
    turns: Turns,
    client: ClientOrigin,
    /// Whether dropping it passes it on.
    passes_on: bool,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: at_once,
            waiting: HashMap::new(),
            taken: HashMap::new(),
            last_number: 0,
            #[cfg(test)]
            given: Vec::new(),
        })))
    }

    /// Waits for a turn. Returns `None` if the turns are gone. Cancel-safe: a caller that stops waiting only loses its place.
    pub(super) async fn turn(&self, client: ClientOrigin) -> Option<Turn> {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                state.record(client);
                return Some(self.given_to(client));
            }
            state.wait(client)
        };
        turn.await.ok()
    }

    /// Passes a turn on to the next waiting client.
    fn pass_on(&self) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.next();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some((client, waiting)) = next else { return };
            // Otherwise the client has gone just now.
            let Err(mut unwanted) = waiting.turn.send(self.given_to(client)) else { return };
            unwanted.passes_on = false;
        }
    }

    fn given_to(&self, client: ClientOrigin) -> Turn {
        Turn { turns: self.clone(), client, passes_on: true }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, client: ClientOrigin) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        self.last_number += 1;
        let own = self.waiting.entry(client).or_default();
        own.retain(|waiting| !waiting.turn.is_closed());
        own.push_back(Waiting { number: self.last_number, turn: sender });
        receiver
    }

    /// Takes the request to serve next, and records its turn.
    fn next(&mut self) -> Option<(ClientOrigin, Waiting)> {
        let Self { waiting, taken, .. } = self;
        waiting.retain(|_, own| {
            own.retain(|waiting| !waiting.turn.is_closed());
            !own.is_empty()
        });
        let now = Instant::now();
        let lately = |client: &ClientOrigin| taken.get(client).map_or(0, |taken| taken.lately(now));
        let rank = |(client, own): (&ClientOrigin, &VecDeque<Waiting>)| {
            Some((lately(client), own.front()?.number, *client))
        };
        let (_, _, client) = waiting.iter().filter_map(rank).min()?;
        let next = waiting.get_mut(&client)?.pop_front()?;
        self.record(client);
        Some((client, next))
    }

    /// Records that a client gets a turn.
    fn record(&mut self, client: ClientOrigin) {
        let now = Instant::now();
        if self.taken.len() >= MAX_REMEMBERED && !self.taken.contains_key(&client) {
            self.taken.retain(|_, taken| taken.lately(now) > 0);
            let fewest = self.taken.iter().min_by_key(|(_, taken)| (taken.lately(now), taken.last));
            let fewest = fewest.map(|(client, _)| *client).filter(|_| self.taken.len() >= MAX_REMEMBERED);
            fewest.and_then(|fewest| self.taken.remove(&fewest));
        }
        let count = self.taken.get(&client).map_or(0, |taken| taken.lately(now)).saturating_add(1);
        self.taken.insert(client, Taken { count, last: now });
        #[cfg(test)]
        self.given.push(client);
    }
}

#[cfg(test)]
impl Turns {
    /// Who was given a turn so far, in this order.
    pub(super) fn given(&self) -> Vec<ClientOrigin> {
        self.state().given.clone()
    }

    /// Whether a client waits for a turn.
    pub(super) fn has_waiting(&self, client: ClientOrigin) -> bool {
        self.state().waiting.contains_key(&client)
    }
}

impl Turn {
    /// Forgets that the client has had turns.
    pub(super) fn forgive(&self) {
        self.turns.state().taken.remove(&self.client);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.passes_on {
            self.turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientAddress;

    fn client(user: u32) -> ClientOrigin {
        ClientAddress::User(user).into()
    }

    /// Takes a turn, notes its client, and passes it on.
    async fn take_and_note(turns: Turns, user: u32, order: Arc<Mutex<Vec<u32>>>) {
        let turn = turns.turn(client(user)).await.unwrap();
        order.lock().unwrap().push(user);
        tokio::task::yield_now().await;
        drop(turn);
    }

    /// The order in which these clients get turns if each asks once for each mention, while the only turn is taken by `first`.
    async fn order(first: u32, asking: &[u32]) -> Vec<u32> {
        let (turns, order) = (Turns::new(1), Arc::<Mutex<Vec<u32>>>::default());
        let taken = turns.turn(client(first)).await;
        let mut tasks = tokio::task::JoinSet::new();
        for user in asking {
            tasks.spawn(take_and_note(turns.clone(), *user, Arc::clone(&order)));
            tokio::task::yield_now().await;
        }
        drop(taken);
        tasks.join_all().await;
        order.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_that_had_fewest_turns_is_next() {
        assert_eq!(order(9, &[1, 1, 1, 2, 2, 3]).await, [1, 2, 3, 1, 2, 1]);
        assert_eq!(order(1, &[1, 1, 2]).await, [2, 1, 1], "the turn before counts");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_forgotten_after_a_while_and_when_forgiven() {
        let turns = Turns::new(1);
        turns.turn(client(1)).await.unwrap().forgive();
        assert!(turns.state().taken.is_empty());
        drop(turns.turn(client(1)).await);
        tokio::time::advance(HALF_LIFE).await;
        let taken = turns.turn(client(2)).await;
        let (one, other) = (turns.turn(client(1)), turns.turn(client(3)));
        tokio::pin!(one, other);
        assert!(tokio::time::timeout(Duration::ZERO, &mut one).await.is_err());
        assert!(tokio::time::timeout(Duration::ZERO, &mut other).await.is_err());
        drop(taken);
        assert!(one.await.is_some(), "it asked first");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_count_half_after_each_half_life() {
        let turns = Turns::new(1);
        for _ in 0..100 {
            drop(turns.turn(client(1)).await);
        }
        let lately = || turns.state().taken[&client(1)].lately(Instant::now());
        for count in [100, 50, 25, 12, 6, 3, 1, 0] {
            assert_eq!(lately(), count);
            tokio::time::advance(HALF_LIFE).await;
        }
        tokio::time::advance(HALF_LIFE * 1000).await;
        assert_eq!(lately(), 0);
    }

    /// An attacker has as many addresses as it likes, each with its first turn.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_wrong_once_is_not_kept_waiting_by_endless_new_ones() {
        let turns = Turns::new(1);
        drop(turns.turn(client(1)).await);
        let mut taken = turns.turn(client(2)).await.unwrap();
        let mut again = Box::pin(turns.turn(client(1)));
        assert!(tokio::time::timeout(Duration::ZERO, &mut again).await.is_err());
        for user in 3..200 {
            let mut new = Box::pin(turns.turn(client(user)));
            assert!(tokio::time::timeout(Duration::ZERO, &mut new).await.is_err());
            tokio::time::advance(Duration::from_millis(100)).await;
            drop(taken);
            match tokio::time::timeout(Duration::ZERO, &mut new).await {
                Ok(turn) => taken = turn.unwrap(),
                Err(_) => {
                    assert!((100..110).contains(&user), "{user}");
                    assert!(again.await.is_some());
                    return;
                }
            }
        }
        panic!("it still waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_nobody_waits_for_any_more_is_passed_on() {
        let turns = Turns::new(1);
        let taken = turns.turn(client(1)).await;
        for _ in 0..100 {
            assert!(tokio::time::timeout(Duration::ZERO, turns.turn(client(2))).await.is_err());
        }
        assert!(
            turns.state().waiting.values().all(|own| own.len() <= 1),
            "abandoned requests do not pile up"
        );
        let mut given = Box::pin(turns.turn(client(3)));
        assert!(tokio::time::timeout(Duration::ZERO, &mut given).await.is_err());
        drop(taken);
        // It was given and not picked up.
        drop(given);
        assert!(tokio::time::timeout(Duration::ZERO, turns.turn(client(4))).await.unwrap().is_some());
        assert_eq!(turns.state().free, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_clients_that_are_remembered_is_bounded() {
        let turns = Turns::new(1);
        for user in 0..u32::try_from(MAX_REMEMBERED).unwrap() + 10 {
            drop(turns.turn(client(user)).await);
        }
        assert_eq!(turns.state().taken.len(), MAX_REMEMBERED);
    }
}
