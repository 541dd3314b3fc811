use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{identity::ClientOrigin, isolation::IsolationKey};

/// When there is no room for another identity, the client with the most identities loses the older half of them. If no client has
/// more than this part of all, the oldest of all go instead, this many.
const SMALL_PART: usize = 16;

/// What is remembered of each identity. No identity sees the value of another.
///
/// The table is bounded. A client that makes up many identities, for instance by inventing credentials, displaces its own first.
pub(crate) struct IdentityTable<V> {
    max: usize,
    lifetime: Duration,
    slots: Mutex<HashMap<IsolationKey, Slot<V>>>,
}

struct Slot<V> {
    value: V,
    used: Instant,
}

impl<V: Default> IdentityTable<V> {
    /// Creates a table for at most `max` identities. Each is forgotten when it was not used for `lifetime`.
    pub(crate) fn new(max: usize, lifetime: Duration) -> Self {
        Self { max, lifetime, slots: Mutex::default() }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<IsolationKey, Slot<V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the value of an identity. The value of a new identity is the default.
    pub(crate) fn with<T>(&self, key: &IsolationKey, work: impl FnOnce(&mut V) -> T) -> T {
        let now = Instant::now();
        let mut slots = self.slots();
        if let Some(slot) = slots.get_mut(key) {
            if slot.used + self.lifetime <= now {
                slot.value = V::default();
            }
            slot.used = now;
            return work(&mut slot.value);
        }
        if slots.len() >= self.max {
            slots.retain(|_, slot| slot.used + self.lifetime > now);
        }
        if slots.len() >= self.max {
            make_room(&mut slots);
        }
        let slot = slots.entry(key.clone()).or_insert_with(|| Slot { value: V::default(), used: now });
        work(&mut slot.value)
    }

    /// Runs `work` on the value of an identity that has one.
    pub(crate) fn with_known<T>(&self, key: &IsolationKey, work: impl FnOnce(&mut V) -> T) -> Option<T> {
        let now = Instant::now();
        let mut slots = self.slots();
        let slot = slots.get_mut(key).filter(|slot| slot.used + self.lifetime > now)?;
        slot.used = now;
        Some(work(&mut slot.value))
    }

    /// Forgets these identities.
    pub(crate) fn forget_if(&self, is_forgotten: impl Fn(&IsolationKey) -> bool) {
        self.slots().retain(|key, _| !is_forgotten(key));
    }

    /// Forgets all identities.
    pub(crate) fn clear(&self) {
        self.slots().clear();
    }
}

/// Removes identities of a full table, so many at once that the search is not repeated for each new one.
fn make_room<V>(slots: &mut HashMap<IsolationKey, Slot<V>>) {
    let group = |key: &IsolationKey| key.origin().map(ClientOrigin::group);
    let mut counts: HashMap<Option<ClientOrigin>, usize> = HashMap::new();
    for key in slots.keys() {
        *counts.entry(group(key)).or_default() += 1;
    }
    let part = (slots.len() / SMALL_PART).max(1);
    let largest = counts.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > part);
    let is_of = |key: &IsolationKey| largest.is_none_or(|(client, _)| group(key) == client);
    let count = largest.map_or(part, |(_, count)| count.div_ceil(2));
    let mut oldest: Vec<_> =
        slots.iter().filter(|(key, _)| is_of(key)).map(|(key, slot)| (slot.used, key.clone())).collect();
    oldest.sort_by_key(|(used, _)| *used);
    for (_, key) in oldest.into_iter().take(count) {
        slots.remove(&key);
    }
}

/// Shows no identity.
impl<V> fmt::Debug for IdentityTable<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityTable(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;
    use crate::client::{Client, ClientAddress, ClientCredentials, ClientProtocol, Isolate};

    fn key_at(address: IpAddr, user: usize, isolate: Isolate) -> IsolationKey {
        let client = Client {
            address: ClientAddress::Ip(address),
            listener: "a".into(),
            protocol: ClientProtocol::Socks5,
            credentials: ClientCredentials::UserId(user.to_string().into_bytes()),
        };
        IsolationKey::of_client(isolate, None, &client)
    }

    fn key(address: u8, user: usize) -> IsolationKey {
        key_at([127, 0, 0, address].into(), user, Isolate::default())
    }

    /// Returns whether the table knows the identity, and notes that it does from now on.
    fn visit(table: &IdentityTable<bool>, key: &IsolationKey) -> bool {
        table.with(key, |known| std::mem::replace(known, true))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_many_identities_displaces_its_own() {
        let table = IdentityTable::new(64, Duration::from_secs(60));
        assert!(!visit(&table, &key(1, 0)) && !visit(&table, &key(2, 0)));
        for user in 0..1000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!visit(&table, &key(3, user)));
            assert!(visit(&table, &key(3, user)), "its latest one is there");
            assert!(table.slots().len() <= 64);
        }
        assert!(visit(&table, &key(1, 0)) && visit(&table, &key(2, 0)), "others keep theirs");
        assert!(!visit(&table, &key(3, 0)), "its oldest one is gone");
    }

    /// All addresses of its network are one client, and so it is if its address does not isolate.
    #[tokio::test(start_paused = true)]
    async fn a_client_displaces_its_own_identities_whatever_they_differ_in() {
        let of_network = |number: u128| Ipv6Addr::from_bits((0x2001_0db8 << 96) | number).into();
        let by_credentials = Isolate { socks_auth: true, ..Isolate::NONE };
        let of_many_addresses = |number: usize| key_at(of_network(number as u128), 0, Isolate::default());
        let of_many_users = |number: usize| key_at([127, 0, 0, 3].into(), number, by_credentials);
        let many: [&dyn Fn(usize) -> IsolationKey; 2] = [&of_many_addresses, &of_many_users];
        for (of, isolate) in many.into_iter().zip([Isolate::default(), by_credentials]) {
            let table = IdentityTable::new(64, Duration::from_secs(60));
            let others: Vec<_> = (1..=2)
                .map(|host| key_at([192, 0, 2, host].into(), 5_000 + usize::from(host), isolate))
                .collect();
            assert!(others.iter().all(|key| !visit(&table, key)));
            for number in 0..1000 {
                tokio::time::advance(Duration::from_millis(1)).await;
                assert!(!visit(&table, &of(number)));
            }
            assert!(others.iter().all(|key| visit(&table, key)), "others keep theirs");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn contained_programs_displace_their_own_identities() {
        let run = |process| {
            let client = Client {
                address: ClientAddress::Contained(process),
                listener: "a".into(),
                protocol: ClientProtocol::Socks5,
                credentials: ClientCredentials::Run(b"a".into(), process.to_be_bytes().into()),
            };
            IsolationKey::of_client(Isolate::default(), None, &client)
        };
        let table = IdentityTable::new(64, Duration::from_secs(60));
        assert!(!visit(&table, &key(1, 0)) && !visit(&table, &key(1, 1)));
        for process in 0..1000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!visit(&table, &run(process)));
        }
        assert!(visit(&table, &key(1, 0)) && visit(&table, &key(1, 1)), "others keep theirs");
    }

    #[tokio::test(start_paused = true)]
    async fn identities_are_forgotten_when_they_are_unused() {
        let table = IdentityTable::new(4, Duration::from_secs(60));
        assert!(!visit(&table, &key(1, 0)));
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(59)).await;
            assert!(visit(&table, &key(1, 0)));
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!visit(&table, &key(1, 0)));
        // As many clients as there is room for: the oldest goes.
        for address in 2..6 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!visit(&table, &key(address, 0)));
        }
        assert!(visit(&table, &key(5, 0)) && visit(&table, &key(3, 0)));
        assert!(!visit(&table, &key(1, 0)));
        table.clear();
        assert!(!visit(&table, &key(5, 0)));
    }
}
