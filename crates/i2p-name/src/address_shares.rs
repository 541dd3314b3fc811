//! Which client holds how many virtual addresses, and which of them is the first to go when there is no room.

use alloc::collections::{BTreeMap, BTreeSet};
use core::{net::IpAddr, time::Duration};

/// One of this many addresses is left to other clients, so that a new client finds room.
const RESERVED_PART: usize = 8;

/// How long an address is kept after its last use, unless its owner or its client holds more than the one that needs room: time
/// enough to connect to an address that was just looked up.
const ADDRESS_KEPT_UNUSED: Duration = Duration::from_secs(60);

/// The addresses of one family by client and owner. A client can have many owners.
#[derive(Clone)]
pub(crate) struct AddressShares<Client, Owner> {
    clients: BTreeMap<Client, OfClient<Owner>>,
    /// The clients by the number of their addresses.
    ranking: BTreeSet<(usize, Client)>,
}

#[derive(Clone)]
struct OfClient<Owner> {
    total: usize,
    /// The addresses that are not in use, the one unused for longest first.
    unused: BTreeSet<(Duration, IpAddr)>,
    owners: BTreeMap<Owner, OfOwner>,
    /// The owners by the number of their addresses.
    ranking: BTreeSet<(usize, Owner)>,
}

#[derive(Clone, Default)]
struct OfOwner {
    total: usize,
    unused: BTreeSet<(Duration, IpAddr)>,
}

impl<Client, Owner> Default for AddressShares<Client, Owner> {
    fn default() -> Self {
        Self { clients: BTreeMap::new(), ranking: BTreeSet::new() }
    }
}

impl<Owner> Default for OfClient<Owner> {
    fn default() -> Self {
        Self { total: 0, unused: BTreeSet::new(), owners: BTreeMap::new(), ranking: BTreeSet::new() }
    }
}

/// Whether a client that has `held` addresses has as many as it gets, if there can be `limit` in total.
pub(crate) fn has_its_address_share(held: usize, limit: usize) -> bool {
    held >= limit - limit / RESERVED_PART
}

impl<Client: Clone + Ord, Owner: Clone + Ord> AddressShares<Client, Owner> {
    /// How many addresses a client has.
    pub(crate) fn held_by(&self, client: &Client) -> usize {
        self.clients.get(client).map_or(0, |held| held.total)
    }

    /// Adds an address that was last used at `last_use`.
    pub(crate) fn add(&mut self, client: &Client, owner: &Owner, address: IpAddr, last_use: Duration) {
        let of_client = self.clients.entry(client.clone()).or_default();
        change(&mut self.ranking, client, &mut of_client.total, |total| total + 1);
        let of_owner = of_client.owners.entry(owner.clone()).or_default();
        change(&mut of_client.ranking, owner, &mut of_owner.total, |total| total + 1);
        of_owner.unused.insert((last_use, address));
        of_client.unused.insert((last_use, address));
    }

    /// Removes an address. `unused_since` is its last use, `None` if it is in use.
    pub(crate) fn remove(
        &mut self,
        client: &Client,
        owner: &Owner,
        address: IpAddr,
        unused_since: Option<Duration>,
    ) {
        let Some(of_client) = self.clients.get_mut(client) else { return };
        let Some(of_owner) = of_client.owners.get_mut(owner) else { return };
        if let Some(since) = unused_since {
            of_owner.unused.remove(&(since, address));
            of_client.unused.remove(&(since, address));
        }
        change(&mut of_client.ranking, owner, &mut of_owner.total, |total| total.saturating_sub(1));
        if of_owner.total == 0 {
            of_client.owners.remove(owner);
        }
        change(&mut self.ranking, client, &mut of_client.total, |total| total.saturating_sub(1));
        if of_client.total == 0 {
            self.clients.remove(client);
        }
    }

    /// Records that the time since when an address is unused has changed. `None`: it is in use.
    pub(crate) fn change_use(
        &mut self,
        client: &Client,
        owner: &Owner,
        address: IpAddr,
        (before, after): (Option<Duration>, Option<Duration>),
    ) {
        let Some(OfClient { unused, owners, .. }) = self.clients.get_mut(client) else { return };
        for unused in owners.get_mut(owner).map(|of_owner| &mut of_owner.unused).into_iter().chain([unused]) {
            if let Some(before) = before {
                unused.remove(&(before, address));
            }
            if let Some(after) = after {
                unused.insert((after, address));
            }
        }
    }

    /// Chooses the address to forget so that another client's owner can have one more: one of the client that holds most, if it
    /// still has no less than this client afterwards.
    pub(crate) fn of_others(&self, client: &Client) -> Option<IpAddr> {
        let least = self.held_by(client) + 2;
        let larger = self.ranking.iter().rev().take_while(|(total, _)| *total >= least);
        larger.filter_map(|(_, other)| self.clients.get(other)).find_map(OfClient::first_to_go)
    }

    /// Chooses the address of this client to forget so that one of its owners can have one more: one of the owner that holds
    /// most, or one that has been unused for a while.
    pub(crate) fn of_client(&self, client: &Client, owner: &Owner, now: Duration) -> Option<IpAddr> {
        let held = self.clients.get(client)?;
        let least = held.owners.get(owner).map_or(0, |own| own.total) + 2;
        let larger = held.ranking.iter().rev().take_while(|(total, _)| *total >= least);
        let of_larger = larger.filter_map(|(_, other)| held.oldest_of(other)).next();
        let unused_for_long =
            |(since, _): &(Duration, IpAddr)| since.saturating_add(ADDRESS_KEPT_UNUSED) <= now;
        of_larger.or_else(|| held.unused.first().copied().filter(unused_for_long).map(|(_, address)| address))
    }
}

impl<Owner: Ord> OfClient<Owner> {
    /// The owner's address that has been unused for longest.
    fn oldest_of(&self, owner: &Owner) -> Option<IpAddr> {
        self.owners.get(owner)?.unused.first().map(|(_, address)| *address)
    }

    /// The address that has been unused for longest, of the owner that holds most and has one that is not in use.
    fn first_to_go(&self) -> Option<IpAddr> {
        self.ranking.iter().rev().find_map(|(_, owner)| self.oldest_of(owner))
    }
}

/// Changes a number, and its place in a ranking that holds no zeros.
fn change<Key: Clone + Ord>(
    ranking: &mut BTreeSet<(usize, Key)>,
    key: &Key,
    total: &mut usize,
    change: impl FnOnce(usize) -> usize,
) {
    ranking.remove(&(*total, key.clone()));
    *total = change(*total);
    if *total > 0 {
        ranking.insert((*total, key.clone()));
    }
}
