//! Who uses how many sessions for datagrams, and what is closed so that a client gets another one.

use std::sync::Arc;

use tokio::time::Instant;

use super::pool::{Idle, Shared, State};
use crate::{
    client::{ClientOrigin, HeldSession, full_share, holds_all, others_unused_to_close, own_unused_to_close},
    sessions::pool::NoLease,
};

/// A client's place among those that use a session, until this is dropped or [ended](Self::end).
pub(super) struct Place {
    client: Option<ClientOrigin>,
    /// `None` once it has ended.
    pool: Option<Arc<Shared>>,
}

impl Place {
    /// Takes a place. The caller has made sure that there is room.
    pub(super) fn take(pool: &Arc<Shared>, state: &mut State, client: Option<ClientOrigin>) -> Self {
        state.in_use.push(client);
        Self { client, pool: Some(Arc::clone(pool)) }
    }

    pub(super) fn end(&mut self, state: &mut State) {
        let at = state.in_use.iter().position(|client| *client == self.client);
        if let (Some(_), Some(at)) = (self.pool.take(), at) {
            state.in_use.swap_remove(at);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.clone() {
            self.end(&mut pool.state());
        }
    }
}

impl State {
    /// By how many sessions there are more than [`max_sessions`](super::DatagramOptions::max_sessions).
    pub(super) fn excess(&self) -> usize {
        (self.in_use.len() + self.idle.len()).saturating_sub(self.options.max_sessions.get())
    }

    /// What is held, idle sessions first.
    fn held(&self) -> Vec<HeldSession> {
        let in_use = self.in_use.iter().map(|holder| HeldSession::new(*holder, None));
        self.idle.iter().map(Idle::held).chain(in_use).collect()
    }

    /// Whether the client uses its share of the sessions.
    pub(super) fn is_share_used(&self, client: Option<ClientOrigin>) -> bool {
        full_share(&self.held(), client, self.options.max_sessions.get()).is_some()
    }

    /// [Makes room](Self::make_room) for a session to be opened, unless the client has opened too many too quickly.
    pub(super) fn make_room_at_rate(
        &mut self,
        client: Option<ClientOrigin>,
    ) -> Result<Option<Idle>, NoLease> {
        let now = Instant::now();
        if let Some(next) = self.opened.next(client).filter(|next| *next > now) {
            return Err(NoLease::TooFast(next));
        }
        let closed = self.make_room(client)?;
        self.opened.record(client, now);
        Ok(closed)
    }

    /// Takes an idle session out, so that the client can have another one. Returns nothing if none has to be closed.
    fn make_room(&mut self, client: Option<ClientOrigin>) -> Result<Option<Idle>, NoLease> {
        let (held, max) = (self.held(), self.options.max_sessions.get());
        let full_share = full_share(&held, client, max);
        if full_share.is_none() && held.len() < max {
            return Ok(None);
        }
        let others = || others_unused_to_close(&held, client, full_share, Instant::now());
        match own_unused_to_close(&held, client).or_else(others) {
            Some(at) => Ok(Some(self.idle.swap_remove(at))),
            None if full_share.is_some() || holds_all(&held, client) => Err(NoLease::ShareUsed),
            None => Err(NoLease::PoolFull),
        }
    }
}

impl Idle {
    fn held(&self) -> HeldSession {
        let Self { key, since, .. } = self;
        HeldSession::new(key.origin(), Some(*since))
    }
}
