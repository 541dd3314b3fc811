//! Connections that may be ended early to make room for others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::identity::ClientOrigin;

/// Ends a connection.
pub(super) type EndConnection = Box<dyn FnOnce() + Send>;

/// The connections that may be ended early, in the order in which they became so.
#[derive(Default)]
pub(super) struct ExpendableConnections {
    /// The number of the next one.
    next: u64,
    all: BTreeMap<u64, Expendable>,
    /// Of clients, and of their groups.
    of_client: HashMap<ClientOrigin, BTreeSet<u64>>,
    of_tunnel: HashMap<Arc<str>, BTreeSet<u64>>,
}

/// A connection that may be ended early.
pub(super) struct Expendable {
    pub(super) client: ClientOrigin,
    pub(super) tunnel: Arc<str>,
    pub(super) end: EndConnection,
}

impl ExpendableConnections {
    /// Adds a connection, and returns its number. Numbers are never 0.
    pub(super) fn add(&mut self, connection: Expendable) -> u64 {
        self.next += 1;
        for client in connection.client.holders() {
            self.of_client.entry(client).or_default().insert(self.next);
        }
        self.of_tunnel.entry(Arc::clone(&connection.tunnel)).or_default().insert(self.next);
        self.all.insert(self.next, connection);
        self.next
    }

    /// Removes a connection. Returns `None` if it was removed before.
    pub(super) fn remove(&mut self, number: u64) -> Option<Expendable> {
        let connection = self.all.remove(&number)?;
        for client in connection.client.holders() {
            remove_number(&mut self.of_client, &client, number);
        }
        remove_number(&mut self.of_tunnel, &connection.tunnel, number);
        Some(connection)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Expendable> {
        self.all.get(&number)
    }

    /// The numbers of all of them, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = u64> {
        self.all.keys().copied()
    }

    /// The numbers of a client's or of a group's, the oldest first.
    pub(super) fn own(&self, client: ClientOrigin) -> impl Iterator<Item = u64> {
        self.of_client.get(&client).into_iter().flatten().copied()
    }

    /// The numbers of those to a tunnel, the oldest first.
    pub(super) fn to_tunnel(&self, tunnel: &Arc<str>) -> impl Iterator<Item = u64> {
        self.of_tunnel.get(tunnel).into_iter().flatten().copied()
    }

    /// The number of the oldest connection.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.all.keys().next().copied()
    }
}

/// Removes a number, and a key without numbers: nothing is kept of a client without connections.
fn remove_number<K: Eq + std::hash::Hash>(numbers: &mut HashMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    if let Some(of_key) = numbers.get_mut(key) {
        of_key.remove(&number);
        if of_key.is_empty() {
            numbers.remove(key);
        }
    }
    if numbers.is_empty() {
        numbers.shrink_to_fit();
    }
}
