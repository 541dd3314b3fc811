//! Room for one more session: what is closed if the pool is full, or if the client has its share.
//!
//! Nothing in use is closed, except sessions that only half-closed streams use, before a client is refused. It is decided first what
//! is closed, so that nothing is closed for a client that is refused all the same.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::{entry::Entry, options::NoLease, state::State};
use crate::client::{
    ClientOrigin, FullShare, HeldSession, IsolationKey, full_share, holds_all, others_unused_to_close,
    own_unused_to_close,
};

/// What is closed so that a client gets one more session.
#[derive(Default)]
pub(super) struct Room {
    /// The keys of sessions that are unused, or that only half-closed streams use.
    keys: Vec<IsolationKey>,
    spares: usize,
    /// Replaced sessions that only half-closed streams use.
    replaced: Vec<Arc<Entry>>,
}

/// The sessions that may be closed for a client. Those that were chosen are removed.
struct Candidates<'a> {
    client: Option<ClientOrigin>,
    keys: Vec<(&'a IsolationKey, &'a Arc<Entry>)>,
    /// Who holds the sessions of `keys`, in the same order.
    held: Vec<HeldSession>,
    spares: usize,
    /// Those that stay in use unless they are chosen.
    replaced: Vec<Arc<Entry>>,
}

impl State {
    /// Decides what to close so that the client of `key` gets a session for it.
    pub(super) fn find_room(&self, key: &IsolationKey) -> Result<Room, NoLease> {
        let mut left = Candidates::new(self, key.origin());
        let mut room = Room::default();
        loop {
            let (max, max_in_all) = self.caps();
            let full_share = full_share(&left.held, left.client, max);
            let is_full = !self.has_spare_for(key) && left.keys.len() + left.spares >= max;
            let is_full_in_all = !self.has_spare_for(key) && left.count() >= max_in_all;
            let found = match (full_share, is_full, is_full_in_all) {
                (None, false, false) => return Ok(room),
                (None, false, true) => left.take_replaced(&mut room) || left.take_any(None, &mut room),
                (full, ..) => left.take_any(full, &mut room),
            };
            if !found {
                let is_share = full_share.is_some() || (is_full && holds_all(&left.held, left.client));
                return Err(if is_share { NoLease::ShareUsed } else { NoLease::PoolFull });
            }
        }
    }

    /// Closes what was decided.
    pub(super) fn make_room(&mut self, room: Room) {
        let Room { keys, spares, replaced } = room;
        for key in &keys {
            let Some(entry) = self.close(key) else { continue };
            if entry.unused_since().is_some() {
                tracing::info!("closing an unused I2P session, to make room for another");
            } else {
                end_streams(&entry);
                self.set_aside(&entry);
            }
        }
        self.drop_spares(spares);
        replaced.iter().for_each(end_streams);
    }
}

fn end_streams(entry: &Arc<Entry>) {
    tracing::info!("closing half-closed streams, to make room for another I2P session");
    entry.end_streams();
}

impl<'a> Candidates<'a> {
    fn new(state: &'a State, client: Option<ClientOrigin>) -> Self {
        let keys: Vec<_> = state.entries().collect();
        let held = keys.iter().map(|(_, entry)| entry.held()).collect();
        let replaced = state.replaced().filter_map(Weak::upgrade).filter(|entry| entry.stays_in_use());
        Self { client, keys, held, spares: state.spares(), replaced: replaced.collect() }
    }

    fn count(&self) -> usize {
        self.keys.len() + self.spares + self.replaced.len()
    }

    /// Takes a session of the client itself, or otherwise a spare or a session of another client that makes room although this share
    /// is full. One that only half-closed streams use is taken last. Returns whether there is one.
    fn take_any(&mut self, full: Option<FullShare>, room: &mut Room) -> bool {
        let own = own_unused_to_close(&self.held, self.client);
        if own.is_none() && full.is_none() && self.spares > 0 {
            self.spares -= 1;
            room.spares += 1;
            return true;
        }
        let others = || others_unused_to_close(&self.held, self.client, full, Instant::now());
        let own_half_closed = || self.half_closed_to_close(|session| session.holder == self.client);
        let half_closed = || self.half_closed_to_close(|_| full.is_none());
        let chosen = own.or_else(others).or_else(own_half_closed).or_else(half_closed);
        self.take(chosen, room)
    }

    /// Takes a replaced session that only half-closed streams use. Returns whether there is one.
    fn take_replaced(&mut self, room: &mut Room) -> bool {
        let oldest = longest_half_closed(&self.replaced);
        room.replaced.extend(oldest.map(|at| self.replaced.swap_remove(at)));
        oldest.is_some()
    }

    fn take(&mut self, at: Option<usize>, room: &mut Room) -> bool {
        let Some(at) = at else { return false };
        self.held.swap_remove(at);
        room.keys.push(self.keys.swap_remove(at).0.clone());
        true
    }

    /// The place of the session that only half-closed streams have used for longest, of those that meet a condition.
    fn half_closed_to_close(&self, condition: impl Fn(&HeldSession) -> bool) -> Option<usize> {
        let since = |(at, (entry, session)): (usize, (&Entry, &HeldSession))| {
            Some((entry.half_closed_since().filter(|_| condition(session))?, at))
        };
        let entries = self.keys.iter().map(|(_, entry)| &***entry);
        entries.zip(&self.held).enumerate().filter_map(since).min().map(|(_, at)| at)
    }
}

fn longest_half_closed(entries: &[Arc<Entry>]) -> Option<usize> {
    let since = |(at, entry): (usize, &Arc<Entry>)| Some((entry.half_closed_since()?, at));
    entries.iter().enumerate().filter_map(since).min().map(|(_, at)| at)
}
