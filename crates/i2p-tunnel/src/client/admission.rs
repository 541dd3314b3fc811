//! Admission: caps on the number of connections.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    expendable::{Expendable, ExpendableConnections},
    identity::ClientAddress,
};
use crate::limits::Limit;

/// Connections over a cap that get a refusal at one time. Further ones are closed without a word: refusing a client must cost
/// less than serving it.
const MAX_REFUSALS_AT_ONCE: usize = 64;

/// The most connections that are open at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// In total.
    pub connections: usize,
    /// From one client: an IPv4 address, a user of this machine, or the /64 network of an IPv6 address, since a single machine
    /// usually has a whole one.
    pub per_client: Option<usize>,
    /// To one tunnel.
    pub per_tunnel: Option<usize>,
}

impl Default for Caps {
    fn default() -> Self {
        Self { connections: 4096, per_client: None, per_tunnel: None }
    }
}

/// Counts connections and admits new ones while the [`Caps`] allow. Clones share their counts: all tunnels share one, and it
/// outlives a reload of the configuration.
#[derive(Clone, Default)]
pub struct Admission(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    caps: Caps,
    connections: usize,
    refusals: usize,
    clients: HashMap<ClientAddress, usize>,
    tunnels: HashMap<Arc<str>, usize>,
    expendable: ExpendableConnections,
}

impl Counts {
    /// The caps that keep one more connection of `client` to `tunnel` out.
    fn reached(&self, tunnel: &Arc<str>, client: ClientAddress) -> impl Iterator<Item = Limit> + use<> {
        let full = |count: Option<&usize>, cap: Option<usize>| {
            cap.is_some_and(|cap| count.copied().unwrap_or_default() >= cap)
        };
        let caps = [
            (self.connections >= self.caps.connections, Limit::Connections),
            (full(self.tunnels.get(tunnel), self.caps.per_tunnel), Limit::PerTunnel),
            (full(self.clients.get(&client), self.caps.per_client), Limit::PerClient),
        ];
        caps.into_iter().filter_map(|(reached, limit)| reached.then_some(limit))
    }

    fn add(&mut self, tunnel: &Arc<str>, client: ClientAddress) {
        self.connections += 1;
        *self.clients.entry(client).or_default() += 1;
        *self.tunnels.entry(Arc::clone(tunnel)).or_default() += 1;
    }

    fn subtract(&mut self, tunnel: &Arc<str>, client: ClientAddress) {
        self.connections -= 1;
        decrement(&mut self.clients, &client);
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
        self.counts().connections
    }

    /// Admits a connection of `client` to `tunnel`, or returns the cap that is reached. Expendable connections end before anybody is
    /// refused.
    pub(crate) fn admit(&self, tunnel: &Arc<str>, client: ClientAddress) -> Result<Admitted, Limit> {
        let client = without_interface_id(client);
        let mut counts = self.counts();
        let stays = |limit: &Limit| counts.expendable.find_for(*limit, tunnel, client).is_none();
        if let Some(limit) = counts.reached(tunnel, client).find(stays) {
            return Err(limit);
        }
        while let Some(limit) = counts.reached(tunnel, client).next() {
            let number = counts.expendable.find_for(limit, tunnel, client).ok_or(limit)?;
            counts.end(number);
        }
        counts.add(tunnel, client);
        let expendable = AtomicU64::new(NOT_EXPENDABLE);
        Ok(Admitted { admission: self.clone(), tunnel: Arc::clone(tunnel), client, expendable })
    }

    /// Ends the oldest expendable connections, for instance because file descriptors have run out. Returns whether there was one.
    pub(crate) fn end_oldest_expendable(&self, count: usize) -> bool {
        let mut counts = self.counts();
        let before = counts.connections;
        for _ in 0..count {
            let Some(oldest) = counts.expendable.oldest() else { break };
            counts.end(oldest);
        }
        counts.connections < before
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

/// Reduces an IPv6 address to its /64 network: all addresses of one count as the same client.
pub(crate) fn without_interface_id(client: ClientAddress) -> ClientAddress {
    match client {
        ClientAddress::Ip(IpAddr::V6(address)) => {
            ClientAddress::Ip(IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()))
        }
        other => other,
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
    client: ClientAddress,
    /// The number of this connection among the expendable ones.
    expendable: AtomicU64,
}

impl Admitted {
    /// From now on, this connection may be ended early to make room for others. `end` must end it soon, and must not wait.
    pub(crate) fn make_expendable(&self, end: impl FnOnce() + Send + 'static) {
        let mut counts = self.admission.counts();
        let Self { client, tunnel, .. } = self;
        let connection = Expendable { client: *client, tunnel: Arc::clone(tunnel), end: Box::new(end) };
        let number = counts.expendable.add(connection);
        self.expendable.store(number, Relaxed);
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

/// The permission to refuse one client, held until this is dropped.
#[must_use]
pub(crate) struct RefusalPermit(Admission);

impl Drop for RefusalPermit {
    fn drop(&mut self) {
        self.0.counts().refusals -= 1;
    }
}

/// Decrements a count and removes it at zero: nothing is kept of a client without connections.
fn decrement<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
    if counts.is_empty() {
        counts.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: ClientAddress = ClientAddress::User(1);
    const BERT: ClientAddress = ClientAddress::User(2);

    #[test]
    fn each_cap_holds_by_itself_and_is_reported() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let admission = Admission::new(Caps { connections: 4, per_client: Some(3), per_tunnel: Some(2) });
        let admit = |tunnel, client| admission.admit(tunnel, client);
        let first = admit(&a, ANNA).unwrap();
        let _second = admit(&a, ANNA).unwrap();
        assert_eq!(admit(&a, BERT).err(), Some(Limit::PerTunnel));
        let _third = admit(&b, ANNA).unwrap();
        assert_eq!(admit(&b, ANNA).err(), Some(Limit::PerClient));
        let _fourth = admit(&b, BERT).unwrap();
        assert_eq!(admit(&b, BERT).err(), Some(Limit::Connections));
        drop(first);
        assert_eq!(admission.connections(), 3);
        let _again = admit(&a, BERT).unwrap();
    }

    fn ended(connection: &Admitted) -> Arc<AtomicU64> {
        let ended = Arc::<AtomicU64>::default();
        let flag = Arc::clone(&ended);
        connection.make_expendable(move || flag.store(1, Relaxed));
        ended
    }

    /// Which of these were ended.
    fn which(ended: &[Arc<AtomicU64>]) -> Vec<u64> {
        ended.iter().map(|ended| ended.load(Relaxed)).collect()
    }

    #[test]
    fn expendable_connections_end_before_a_client_is_refused() {
        let tunnel: Arc<str> = "a".into();
        let admission = Admission::new(Caps { connections: 3, ..Caps::default() });
        let admit = |client| admission.admit(&tunnel, client);
        let all = [admit(ANNA).unwrap(), admit(BERT).unwrap(), admit(BERT).unwrap()];
        assert_eq!(admit(ANNA).err(), Some(Limit::Connections));
        let flags: Vec<_> = all.iter().map(ended).collect();
        let _berts = admit(BERT).unwrap();
        assert_eq!(which(&flags), [0, 1, 0], "his own oldest");
        let _carls = admit(ClientAddress::User(3)).unwrap();
        assert_eq!(which(&flags), [1, 1, 0], "the oldest of all");
        assert_eq!(admission.connections(), 3, "those that end do not count");
        drop(all);
        assert_eq!(admission.connections(), 2);
        assert!(!admission.end_oldest_expendable(1), "nothing is kept of those that have ended");
    }

    #[test]
    fn only_a_connection_whose_end_makes_room_is_ended() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let admission = Admission::new(Caps { connections: 9, per_client: Some(2), per_tunnel: Some(3) });
        let admit = |tunnel, client| admission.admit(tunnel, client);
        let all = [admit(&b, ANNA).unwrap(), admit(&a, BERT).unwrap(), admit(&a, BERT).unwrap()];
        let _annas = admit(&a, ANNA).unwrap();
        let flags: Vec<_> = all.iter().map(ended).collect();
        // Both her connections and those of the tunnel are as many as allowed.
        let _another = admit(&a, ANNA).unwrap();
        assert_eq!(which(&flags), [1, 1, 0]);
        // The tunnel could be given room, but she could not.
        assert_eq!(admit(&a, ANNA).err(), Some(Limit::PerClient));
        assert_eq!(which(&flags), [1, 1, 0]);
    }

    #[test]
    fn a_burst_of_expendable_connections_is_ended_at_once_for_descriptors() {
        let tunnel: Arc<str> = "a".into();
        let admission = Admission::default();
        let all: Vec<_> = (0..5).map(|_| admission.admit(&tunnel, ANNA).unwrap()).collect();
        assert!(!admission.end_oldest_expendable(3));
        let flags: Vec<_> = all.iter().map(ended).collect();
        assert!(admission.end_oldest_expendable(3));
        assert_eq!(which(&flags), [1, 1, 1, 0, 0]);
        assert_eq!(admission.connections(), 2);
        drop(all);
        assert_eq!(admission.connections(), 0);
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_ipv4_addresses_are_many() {
        let tunnel: Arc<str> = "a".into();
        let admission = Admission::new(Caps { per_client: Some(1), ..Caps::default() });
        let admit = |address: &str| admission.admit(&tunnel, ClientAddress::Ip(address.parse().unwrap()));
        let _first = admit("2001:db8::1").unwrap();
        assert!(admit("2001:db8::ffff:0:0:2").is_err());
        let _others =
            (admit("2001:db8:0:1::1").unwrap(), admit("192.0.2.1").unwrap(), admit("192.0.2.2").unwrap());
    }

    #[test]
    fn nothing_is_kept_of_clients_that_have_left() {
        let tunnel: Arc<str> = "a".into();
        let admission = Admission::default();
        drop((admission.admit(&tunnel, ANNA), admission.admit(&tunnel, BERT)));
        let counts = admission.counts();
        assert_eq!((counts.connections, counts.clients.capacity(), counts.tunnels.capacity()), (0, 0, 0));
    }

    #[test]
    fn refusals_at_one_time_are_bounded() {
        let admission = Admission::default();
        let permits: Vec<_> = std::iter::from_fn(|| admission.permit_refusal()).collect();
        assert_eq!(permits.len(), MAX_REFUSALS_AT_ONCE);
        drop(permits);
        assert!(admission.permit_refusal().is_some());
    }
}
