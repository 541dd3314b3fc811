//! Admission: caps on the number of connections.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::identity::ClientAddress;
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

    /// Admits a connection of `client` to `tunnel`, or returns the cap that is reached.
    pub(crate) fn admit(&self, tunnel: &Arc<str>, client: ClientAddress) -> Result<Admitted, Limit> {
        let client = without_interface_id(client);
        let mut counts = self.counts();
        let Counts { caps, connections, clients, tunnels, .. } = &mut *counts;
        let full = |count: Option<&usize>, cap: Option<usize>| {
            cap.is_some_and(|cap| count.copied().unwrap_or_default() >= cap)
        };
        if *connections >= caps.connections {
            return Err(Limit::Connections);
        }
        if full(tunnels.get(tunnel), caps.per_tunnel) {
            return Err(Limit::PerTunnel);
        }
        if full(clients.get(&client), caps.per_client) {
            return Err(Limit::PerClient);
        }
        *connections += 1;
        *clients.entry(client).or_default() += 1;
        *tunnels.entry(Arc::clone(tunnel)).or_default() += 1;
        Ok(Admitted { admission: self.clone(), tunnel: Arc::clone(tunnel), client })
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

/// An admitted connection, counted until this is dropped.
#[must_use]
pub(crate) struct Admitted {
    admission: Admission,
    tunnel: Arc<str>,
    client: ClientAddress,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.connections -= 1;
        decrement(&mut counts.clients, &self.client);
        decrement(&mut counts.tunnels, &self.tunnel);
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
