//! How many connections there may be.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::identity::ClientAddress;
use crate::limits::Limit;

/// Connections over a cap that are told so at one time. Whoever comes beyond is closed unheard: refusing must cost less than
/// serving.
const TURNED_AWAY: usize = 64;

/// How many connections there may be at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// In all.
    pub connections: usize,
    /// From one client: an IPv4 address, the 64-bit network of an IPv6 address, which is what one machine has at least, or a
    /// user of this machine.
    pub per_client: Option<usize>,
    /// Of one tunnel.
    pub per_tunnel: Option<usize>,
}

impl Default for Caps {
    fn default() -> Self {
        Self { connections: 4096, per_client: None, per_tunnel: None }
    }
}

/// Who is let in. Clones count together: tunnels share one, and it outlives their configuration.
#[derive(Clone, Default)]
pub struct Admission(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    caps: Caps,
    connections: usize,
    turned_away: usize,
    clients: HashMap<ClientAddress, usize>,
    tunnels: HashMap<Arc<str>, usize>,
}

impl Admission {
    /// Lets in as many as these caps allow.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        let admission = Self::default();
        admission.set_caps(caps);
        admission
    }

    /// Other caps, for those who come from now on.
    pub fn set_caps(&self, caps: Caps) {
        self.counts().caps = caps;
    }

    /// Connections that there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    /// Lets a client in, or says which cap keeps it out.
    pub(crate) fn admit(&self, tunnel: &Arc<str>, client: ClientAddress) -> Result<Admitted, Limit> {
        let client = machine(client);
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

    /// The right to tell one more client that there is no room.
    pub(crate) fn turn_away(&self) -> Option<TurnedAway> {
        let mut counts = self.counts();
        (counts.turned_away < TURNED_AWAY).then(|| {
            counts.turned_away += 1;
            TurnedAway(self.clone())
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who counts as one: whoever has an IPv6 address has its whole network.
pub(crate) fn machine(client: ClientAddress) -> ClientAddress {
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

/// A connection that counts for as long as this exists.
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
        one_less(&mut counts.clients, &self.client);
        one_less(&mut counts.tunnels, &self.tunnel);
    }
}

/// A client that is told that there is no room, for as long as this exists.
#[must_use]
pub(crate) struct TurnedAway(Admission);

impl Drop for TurnedAway {
    fn drop(&mut self) {
        self.0.counts().turned_away -= 1;
    }
}

/// Nobody is remembered who has no connection.
fn one_less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
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
    fn each_cap_holds_by_itself_and_is_named() {
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
    fn a_network_of_ipv6_is_one_client_and_ipv4_addresses_are_many() {
        let tunnel: Arc<str> = "a".into();
        let admission = Admission::new(Caps { per_client: Some(1), ..Caps::default() });
        let admit = |address: &str| admission.admit(&tunnel, ClientAddress::Ip(address.parse().unwrap()));
        let _first = admit("2001:db8::1").unwrap();
        assert!(admit("2001:db8::ffff:0:0:2").is_err());
        let _others =
            (admit("2001:db8:0:1::1").unwrap(), admit("192.0.2.1").unwrap(), admit("192.0.2.2").unwrap());
    }

    #[test]
    fn nothing_is_remembered_of_whoever_has_gone() {
        let tunnel: Arc<str> = "a".into();
        let admission = Admission::default();
        drop((admission.admit(&tunnel, ANNA), admission.admit(&tunnel, BERT)));
        let counts = admission.counts();
        assert_eq!((counts.connections, counts.clients.capacity(), counts.tunnels.capacity()), (0, 0, 0));
    }

    #[test]
    fn few_are_told_that_there_is_no_room() {
        let admission = Admission::default();
        let told: Vec<_> = std::iter::from_fn(|| admission.turn_away()).collect();
        assert_eq!(told.len(), TURNED_AWAY);
        drop(told);
        assert!(admission.turn_away().is_some());
    }
}
