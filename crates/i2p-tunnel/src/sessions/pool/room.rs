//! Making room in a full pool: half-closed streams end before a client is refused.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{SessionPool, entry::Entry, entry::SessionLease, options::PoolFull, state::State};
use crate::client::IsolationKey;

/// How long streams that were told to end may take.
const END_TIME: Duration = Duration::from_secs(1);

impl SessionPool {
    /// Like [`lease`](Self::lease), but if all sessions are in use, ends the streams of one that only half-closed streams use, and
    /// waits for it. Cancel-safe.
    ///
    /// # Errors
    /// [`PoolFull`] if there is none.
    pub(crate) async fn lease_or_make_room(&self, key: &IsolationKey) -> Result<SessionLease, PoolFull> {
        let deadline = Instant::now() + END_TIME;
        loop {
            let mut unused = pin!(self.shared.unused.notified());
            // From here on, no notification is missed.
            unused.as_mut().enable();
            let full = match self.lease(key) {
                Ok(lease) => return Ok(lease),
                Err(full) => full,
            };
            let makes_room = self.shared.state().end_half_closed();
            if !makes_room || timeout_at(deadline, unused).await.is_err() {
                return Err(full);
            }
        }
    }
}

impl State {
    /// Ends the streams of a session that only half-closed streams use: of the one that has been used so for longest. Returns
    /// whether a session is about to become unused.
    fn end_half_closed(&self) -> bool {
        let half_closed = self.in_use().filter_map(|entry| Some((entry.half_closed_since()?, entry)));
        match half_closed.min_by_key(|(since, _)| *since) {
            Some((_, entry)) => {
                tracing::info!("closing half-closed streams, to make room for another I2P session");
                entry.end_streams();
                true
            }
            None => self.in_use().any(|entry| entry.is_ending()),
        }
    }

    fn in_use(&self) -> impl Iterator<Item = Arc<Entry>> {
        let replaced = self.replaced().filter_map(std::sync::Weak::upgrade);
        let in_use = self.entries().cloned().chain(replaced);
        in_use.filter(|entry| entry.unused_since().is_none())
    }
}
