//! Admission: caps on the number of connections.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    expendable::{Expendable, ExpendableConnections},
    identity::{ClientAddress, ClientOrigin},
    shares::Holdings,
};
use crate::limits::Limit;

/// Connections over a cap that get a refusal at one time. Further ones are closed without a word: refusing a client must cost
/// less than serving it.
const MAX_REFUSALS_AT_ONCE: usize = 64;

/// One of this many connections may wait with BIND. Each of them also keeps a connection to the router waiting.
const WAITING_PART: usize = 4;

/// The most connections that are open at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// In total.
    pub connections: usize,
    /// From one client ([`ClientOrigin`]), or from all contained programs together. Of theirs, one program leaves a quarter to the
    /// others, unless this is [`PerClient::Unlimited`].
    pub per_client: PerClient,
    /// To one tunnel.
    pub per_tunnel: Option<usize>,
}

impl Default for Caps {
    fn default() -> Self {
        Self { connections: 4096, per_client: PerClient::default(), per_tunnel: None }
    }
}

/// The most connections from one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PerClient {
    /// Three quarters of what all other clients leave: a client alone gets most, and there is always some for the next one.
    #[default]
    Share,
    /// This many.
    AtMost(usize),
    /// Without a limit of its own.
    Unlimited,
}

impl PerClient {
    /// How many of at most `limit` things the group of a client may hold. `None`: any number.
    fn most_of_group(self, client: ClientOrigin, holdings: &Holdings, limit: usize) -> Option<usize> {
        match self {
            Self::Share => Some(holdings.share_of_group(client, limit)),
            Self::AtMost(most) => Some(most),
            Self::Unlimited => None,
        }
    }
}

/// Counts connections and admits new ones while the [`Caps`] allow. Clones share their counts: all tunnels share one, and it
/// outlives a reload of the configuration.
#[derive(Clone, Default)]
pub struct Admission(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    caps: Caps,
    connections: Holdings,
    /// Connections that wait with BIND.
    waiting: Holdings,
    refusals: usize,
    tunnels: HashMap<Arc<str>, usize>,
    expendable: ExpendableConnections,
}

impl Counts {
    /// The expendable connections that have to end so that `client` gets one more connection to `tunnel`. None ends unless all caps
    /// then allow it.
    ///
    /// # Errors
    /// The cap that keeps it out.
    fn to_end_for(&self, tunnel: &Arc<str>, client: ClientOrigin) -> Result<BTreeSet<u64>, Limit> {
        let Caps { connections, per_client, per_tunnel } = self.caps;
        let excess = |taken: usize, cap: usize| (taken + 1).saturating_sub(cap);
        let (mut ends, group) = (BTreeSet::new(), client.group());
        let own = || self.expendable.own(client).chain(self.expendable.own(group));
        let everywhere = own().chain(self.expendable.all());
        if !choose(&mut ends, excess(self.connections.total(), connections), everywhere) {
            return Err(Limit::Connections);
        }
        let to_tunnel = self.tunnels.get(tunnel).copied().unwrap_or_default();
        let is_to_tunnel = |number: &u64| self.expendable.get(*number).is_some_and(|it| it.tunnel == *tunnel);
        let needed = excess(to_tunnel, per_tunnel.unwrap_or(usize::MAX));
        let needed = needed.saturating_sub(ends.iter().filter(|number| is_to_tunnel(number)).count());
        let own_to_tunnel = own().filter(is_to_tunnel);
        if !choose(&mut ends, needed, own_to_tunnel.chain(self.expendable.to_tunnel(tunnel))) {
            return Err(Limit::PerTunnel);
        }
        let Some(most) = per_client.most_of_group(client, &self.connections, connections) else {
            return Ok(ends);
        };
        let excess_of_group = match (excess(self.connections.of(group), most), per_client) {
            // One that takes the place of the client's own takes nothing from others, even if its share has shrunk.
            (excess, PerClient::Share) => excess.min(1),
            (excess, _) => excess,
        };
        let own_excess = usize::from(!self.connections.leave_room_in_group(client, most));
        for (holder, needed) in [(group, excess_of_group), (client, own_excess)] {
            let held = self.expendable.own(holder).filter(|number| ends.contains(number)).count();
            let own = self.expendable.own(client).chain(self.expendable.own(holder));
            if !choose(&mut ends, needed.saturating_sub(held), own) {
                return Err(Limit::PerClient);
            }
        }
        Ok(ends)
    }

    fn add(&mut self, tunnel: &Arc<str>, client: ClientOrigin) {
        self.connections.add(client);
        *self.tunnels.entry(Arc::clone(tunnel)).or_default() += 1;
    }

    fn subtract(&mut self, tunnel: &Arc<str>, client: ClientOrigin) {
        self.connections.remove(client);
        decrement(&mut self.tunnels, tunnel);
    }

    /// Ends the expendable connection with this number. It does not count from now on, although it takes a moment to end.
    fn end(&mut self, number: u64) {
        if let Some(Expendable { client, tunnel, end }) = self.expendable.remove(number) {
            self.subtract(&tunnel, client);
            end();
        }
    }
}

impl Admission {
    /// Admits as many connections as `caps` allows.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        let admission = Self::default();
        admission.set_caps(caps);
        admission
    }

    /// Replaces the caps. Connections that are open stay open.
    pub fn set_caps(&self, caps: Caps) {
        self.counts().caps = caps;
    }

    /// The number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts().connections.total()
    }

    /// Admits a connection of `client` to `tunnel`, or returns the cap that is reached. Expendable connections end before anybody is
    /// refused.
    pub(crate) fn admit(&self, tunnel: &Arc<str>, client: ClientAddress) -> Result<Admitted, Limit> {
        let client = client.into();
        let mut counts = self.counts();
        for number in counts.to_end_for(tunnel, client)? {
            counts.end(number);
        }
        counts.add(tunnel, client);
        let expendable = AtomicU64::new(NOT_EXPENDABLE);
        Ok(Admitted { admission: self.clone(), tunnel: Arc::clone(tunnel), client, expendable })
    }

    /// Ends the oldest expendable connections, for instance because file descriptors have run out. Returns whether there was one.
    pub(crate) fn end_oldest_expendable(&self, count: usize) -> bool {
        let mut counts = self.counts();
        let before = counts.connections.total();
        for _ in 0..count {
            let Some(oldest) = counts.expendable.oldest() else { break };
            counts.end(oldest);
        }
        counts.connections.total() < before
    }

    /// Admits one more connection that waits with BIND, or returns the cap that is reached: [`Limit::Waiting`] if too many wait
    /// already, [`Limit::PerClient`] if the client has its share of them.
    pub(crate) fn admit_waiting(&self, client: ClientAddress) -> Result<WaitingPermit, Limit> {
        let client = ClientOrigin::from(client);
        let mut counts = self.counts();
        let Counts { caps, waiting, .. } = &mut *counts;
        let limit = (caps.connections / WAITING_PART).max(1);
        if waiting.total() >= limit {
            return Err(Limit::Waiting);
        }
        let most = caps.per_client.most_of_group(client, waiting, limit);
        if most.is_some_and(|most| !waiting.allow_one_more(client, most)) {
            return Err(Limit::PerClient);
        }
        waiting.add(client);
        Ok(WaitingPermit { admission: self.clone(), client })
    }

    /// Permits one more refusal to be sent, unless [`MAX_REFUSALS_AT_ONCE`] are under way.
    pub(crate) fn permit_refusal(&self) -> Option<RefusalPermit> {
        let mut counts = self.counts();
        (counts.refusals < MAX_REFUSALS_AT_ONCE).then(|| {
            counts.refusals += 1;
            RefusalPermit(self.clone())
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("caps", &self.counts().caps).finish_non_exhaustive()
    }
}

/// The value of [`Admitted::expendable`] of other connections.
const NOT_EXPENDABLE: u64 = 0;

/// An admitted connection, counted until this is dropped or it is ended early.
#[must_use]
pub(crate) struct Admitted {
    admission: Admission,
    tunnel: Arc<str>,
    client: ClientOrigin,
    /// The number of this connection among the expendable ones.
    expendable: AtomicU64,
}

impl Admitted {
    /// From now on, this connection may be ended early to make room for others. `end` must end it soon, and must not wait. Does nothing
    /// if it may be ended already.
    pub(crate) fn make_expendable(&self, end: impl FnOnce() + Send + 'static) {
        let mut counts = self.admission.counts();
        if self.expendable.load(Relaxed) != NOT_EXPENDABLE {
            return;
        }
        let Self { client, tunnel, .. } = self;
        let connection = Expendable { client: *client, tunnel: Arc::clone(tunnel), end: Box::new(end) };
        let number = counts.expendable.add(connection);
        self.expendable.store(number, Relaxed);
    }

    /// From now on, this connection must not be ended early any more. Returns `false` if it was ended meanwhile.
    pub(crate) fn keep(&self) -> bool {
        let mut counts = self.admission.counts();
        let number = self.expendable.load(Relaxed);
        if number != NOT_EXPENDABLE {
            if counts.expendable.remove(number).is_none() {
                return false;
            }
            self.expendable.store(NOT_EXPENDABLE, Relaxed);
        }
        true
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        let number = *self.expendable.get_mut();
        if number == NOT_EXPENDABLE || counts.expendable.remove(number).is_some() {
            counts.subtract(&self.tunnel, self.client);
        }
    }
}

/// A connection that waits with BIND, counted until this is dropped.
#[must_use]
pub(crate) struct WaitingPermit {
    admission: Admission,
    client: ClientOrigin,
}

impl Drop for WaitingPermit {
    fn drop(&mut self) {
        self.admission.counts().waiting.remove(self.client);
    }
}

/// The permission to refuse one client, held until this is dropped.
#[must_use]
pub(crate) struct RefusalPermit(Admission);

impl Drop for RefusalPermit {
    fn drop(&mut self) {
        self.0.counts().refusals -= 1;
    }
}

/// Adds the first `needed` candidates that are not chosen yet. Returns whether there are so many.
fn choose(chosen: &mut BTreeSet<u64>, mut needed: usize, candidates: impl Iterator<Item = u64>) -> bool {
    for number in candidates {
        if needed == 0 {
            break;
        }
        needed -= usize::from(chosen.insert(number));
    }
    needed == 0
}

/// Decrements a tunnel's count and removes it at zero: nothing is kept of a tunnel without connections.
fn decrement(counts: &mut HashMap<Arc<str>, usize>, tunnel: &Arc<str>) {
    if let Some(count) = counts.get_mut(tunnel) {
        *count -= 1;
        if *count == 0 {
            counts.remove(tunnel);
        }
    }
    if counts.is_empty() {
        counts.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
