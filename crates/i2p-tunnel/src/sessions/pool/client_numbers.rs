//! Numbers by which a status tells clients apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::ClientOrigin;

/// The numbers of the clients that have sessions. A client keeps its number for as long as it has one.
#[derive(Default)]
pub(super) struct ClientNumbers(BTreeMap<ClientOrigin, usize>);

impl ClientNumbers {
    /// Gives each of these clients a number, and forgets all others.
    pub(super) fn update(&mut self, clients: BTreeSet<ClientOrigin>) {
        self.0.retain(|client, _| clients.contains(client));
        for client in clients {
            let taken: BTreeSet<_> = self.0.values().copied().collect();
            self.0.entry(client).or_insert_with(|| (1..).find(|number| !taken.contains(number)).unwrap_or(0));
        }
    }

    pub(super) fn of(&self, client: ClientOrigin) -> Option<usize> {
        self.0.get(&client).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientAddress;

    #[test]
    fn a_client_keeps_its_number_when_others_come_and_go() {
        let mut numbers = ClientNumbers::default();
        let client = |user| ClientOrigin::from(ClientAddress::User(user));
        let mut after = |users: &[u32]| {
            numbers.update(users.iter().map(|user| client(*user)).collect());
            users.iter().map(|user| numbers.of(client(*user)).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(after(&[20, 30]), [1, 2]);
        assert_eq!(after(&[10, 20, 30]), [3, 1, 2]);
        assert_eq!(after(&[10, 30]), [3, 2]);
        assert_eq!(after(&[10, 30, 40]), [3, 2, 1]);
    }
}
