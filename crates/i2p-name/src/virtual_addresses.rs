use alloc::collections::{BTreeMap, BTreeSet};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroUsize,
    time::Duration,
};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::{
    address_shares::{AddressShares, has_its_address_share},
    target::NamedTarget,
    virtual_ranges::{VirtualRanges, canonical},
};

/// The family of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// The settings of a [`VirtualAddresses`] table.
#[derive(Debug, Clone)]
pub struct VirtualOptions {
    /// The ranges that addresses are taken from.
    pub ranges: VirtualRanges,
    /// How long after its last use an address expires; `None`: only when there is no room for another.
    pub expire_after: Option<Duration>,
    /// The limit of addresses at one time. Static ones do not count.
    pub max: NonZeroUsize,
    /// Static addresses: each stands for the same target always, for every owner. They may lie outside the ranges.
    pub map: BTreeMap<IpAddr, NamedTarget>,
}

impl Default for VirtualOptions {
    /// The default ranges, one hour, 16,384 addresses, no static ones.
    fn default() -> Self {
        Self {
            ranges: VirtualRanges::default(),
            expire_after: Some(Duration::from_secs(60 * 60)),
            max: NonZeroUsize::MIN.saturating_add(16_383),
            map: BTreeMap::new(),
        }
    }
}

/// Why a target gets no virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// No range of this family is set.
    #[error("there is no range of virtual addresses of this family")]
    NoRange,
    /// The limit is reached, or the range has no address left, or the client has its share of them; and none can be forgotten.
    #[error("all virtual addresses are in use, or the client's share of them")]
    Full,
}

/// Addresses that stand for [named targets](NamedTarget), which have no address that a client could connect to.
///
/// Some programs first resolve a name to an address and then connect to the address. They get an address of a range that
/// is never routed, and when they connect to it, the proxy looks up which target it stands for.
///
/// Each address belongs to the `Owner` that asked for it. For other owners it stands for nothing, so no client can find out
/// by trying addresses what another client visits. The same owner, target and [`Family`] get the same address until it
/// expires. An address never stands for two targets, and it keeps its target while it is in use
/// ([`acquire`](Self::acquire)) or has not expired. Addresses are taken at random.
///
/// Owners belong to clients: a client that can have any number of owners still has one share. A client gets all but an eighth of
/// the addresses of both families together, and of those of each range. When there is none left, or the client has its share, an
/// address that is not in use is forgotten before it expires: one of the client that holds most, and within a client one of the
/// owner that holds most; of those the one that has been unused for longest. An owner that holds as many as another one keeps an
/// address for at least a minute after its last use.
///
/// The table has no clock: `now` is the time since any fixed moment, and never goes back.
#[derive(Clone)]
pub struct VirtualAddresses<Owner, Client = Owner> {
    options: VirtualOptions,
    client_of: fn(&Owner) -> Client,
    static_addresses: BTreeMap<(NamedTarget, Family), IpAddr>,
    entries: BTreeMap<IpAddr, Entry<Owner>>,
    addresses: BTreeMap<(Owner, NamedTarget, Family), IpAddr>,
    /// The addresses that are not in use, the one unused for longest first.
    unused: BTreeSet<(Duration, IpAddr)>,
    /// Which client holds which address, by family.
    shares: BTreeMap<Family, AddressShares<Client, Owner>>,
    random: Random,
}

#[derive(Clone)]
struct Entry<Owner> {
    owner: Owner,
    target: NamedTarget,
    uses: usize,
    last_use: Duration,
}

impl<Owner> Entry<Owner> {
    /// Since when the address is unused; `None`: it is in use.
    fn unused_since(&self) -> Option<Duration> {
        (self.uses == 0).then_some(self.last_use)
    }
}

impl<Owner: Clone + Ord> VirtualAddresses<Owner> {
    /// Makes an empty table in which each owner is a client. The seed decides which addresses it gives out: 32 bytes that nobody
    /// can guess.
    #[must_use]
    pub fn new(options: VirtualOptions, seed: [u8; 32]) -> Self {
        Self::with_clients(options, seed, Owner::clone)
    }
}

impl<Owner: Clone + Ord, Client: Clone + Ord> VirtualAddresses<Owner, Client> {
    /// Makes an empty table. `client_of` tells the client of an owner.
    #[must_use]
    pub fn with_clients(options: VirtualOptions, seed: [u8; 32], client_of: fn(&Owner) -> Client) -> Self {
        let map: BTreeMap<_, _> =
            options.map.into_iter().map(|(address, target)| (canonical(address), target)).collect();
        let mut static_addresses = BTreeMap::new();
        for (address, target) in &map {
            // A target with several gets the lowest.
            static_addresses.entry((target.clone(), Family::of(*address))).or_insert(*address);
        }
        Self {
            options: VirtualOptions { map, ..options },
            client_of,
            static_addresses,
            entries: BTreeMap::new(),
            addresses: BTreeMap::new(),
            unused: BTreeSet::new(),
            shares: BTreeMap::new(),
            random: Random { seed, count: 0 },
        }
    }

    /// The number of addresses given out. Static ones do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no address is given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether an address lies in one of the ranges, even if it stands for nothing. A proxy must not connect to such an
    /// address.
    #[must_use]
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.options.ranges.contains(address)
    }

    /// Returns this owner's address of a target: the static one, the one given out before, or a new one.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn address_of(
        &mut self,
        owner: &Owner,
        target: &NamedTarget,
        family: Family,
        now: Duration,
    ) -> Result<IpAddr, AddressError> {
        if let Some(&address) = self.static_addresses.get(&(target.clone(), family)) {
            return Ok(address);
        }
        self.forget_expired(now);
        let key = (owner.clone(), target.clone(), family);
        if let Some(&address) = self.addresses.get(&key) {
            self.change_use(address, |entry| entry.last_use = now);
            return Ok(address);
        }
        let address = self.new_address(owner, family, now)?;
        let entry = Entry { owner: owner.clone(), target: target.clone(), uses: 0, last_use: now };
        self.entries.insert(address, entry);
        self.addresses.insert(key, address);
        self.unused.insert((now, address));
        self.shares.entry(family).or_default().add(&(self.client_of)(owner), owner, address, now);
        Ok(address)
    }

    /// Returns the target that an address stands for, if it belongs to this owner or is static. Counts as a use of the
    /// address at `now`.
    pub fn target_of(&mut self, owner: &Owner, address: IpAddr, now: Duration) -> Option<NamedTarget> {
        let address = canonical(address);
        if let Some(target) = self.options.map.get(&address) {
            return Some(target.clone());
        }
        self.forget_expired(now);
        let target = self.entries.get(&address).filter(|entry| entry.owner == *owner)?.target.clone();
        self.change_use(address, |entry| entry.last_use = now);
        Some(target)
    }

    /// Like [`target_of`](Self::target_of), and marks the address as in use until it has been [released](Self::release) as
    /// often as acquired.
    pub fn acquire(&mut self, owner: &Owner, address: IpAddr, now: Duration) -> Option<NamedTarget> {
        let target = self.target_of(owner, address, now)?;
        self.change_use(canonical(address), |entry| entry.uses += 1);
        Some(target)
    }

    /// Ends one use of an acquired address. Once no use is left, its time until expiry starts.
    pub fn release(&mut self, address: IpAddr, now: Duration) {
        self.change_use(canonical(address), |entry| {
            entry.uses = entry.uses.saturating_sub(1);
            entry.last_use = now;
        });
    }

    /// Changes how an address is used.
    fn change_use(&mut self, address: IpAddr, change: impl FnOnce(&mut Entry<Owner>)) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let before = entry.unused_since();
        change(entry);
        let after = entry.unused_since();
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.unused.remove(&(before, address));
        }
        if let Some(after) = after {
            self.unused.insert((after, address));
        }
        if let Some(shares) = self.shares.get_mut(&Family::of(address)) {
            shares.change_use(&(self.client_of)(&entry.owner), &entry.owner, address, (before, after));
        }
    }

    /// Forgets the addresses that have expired.
    fn forget_expired(&mut self, now: Duration) {
        let Some(expire_after) = self.options.expire_after else { return };
        while let Some(&(since, address)) = self.unused.first()
            && since.saturating_add(expire_after) <= now
        {
            self.forget(address);
        }
    }

    fn forget(&mut self, address: IpAddr) {
        let Some(entry) = self.entries.remove(&address) else { return };
        let (family, unused_since) = (Family::of(address), entry.unused_since());
        if let Some(since) = unused_since {
            self.unused.remove(&(since, address));
        }
        if let Some(shares) = self.shares.get_mut(&family) {
            shares.remove(&(self.client_of)(&entry.owner), &entry.owner, address, unused_since);
        }
        self.addresses.remove(&(entry.owner, entry.target, family));
    }

    /// Takes an address for this owner. Forgets others if there is none left, or if the owner's client has its share.
    fn new_address(&mut self, owner: &Owner, family: Family, now: Duration) -> Result<IpAddr, AddressError> {
        // All is decided before anything is forgotten, so that a refusal costs nobody an address.
        let free = self.free_address(family)?;
        let for_share = self.to_forget_for_share(owner, family, now)?;
        let is_enough = for_share.is_some_and(|address| free.is_some() || Family::of(address) == family);
        let for_room = match is_enough {
            true => None,
            false => self.to_forget_for_room(owner, (family, free.is_some()), now)?,
        };
        for address in for_share.into_iter().chain(for_room) {
            self.forget(address);
        }
        match free {
            Some(free) => Ok(free),
            None => self.free_address(family)?.ok_or(AddressError::Full),
        }
    }

    /// The address that this owner's client gives up for another one, if it has its share.
    fn to_forget_for_share(
        &self,
        owner: &Owner,
        family: Family,
        now: Duration,
    ) -> Result<Option<IpAddr>, AddressError> {
        let (_, count) = self.usable(family)?;
        let client = (self.client_of)(owner);
        let of_family = self.held_by(&client, family);
        let is_all_of_family = has_its_address_share(of_family, usize::try_from(count).unwrap_or(usize::MAX));
        let held = of_family + self.held_by(&client, family.other());
        if !is_all_of_family && !has_its_address_share(held, self.options.max.get()) {
            return Ok(None);
        }
        let own = self.own_to_forget(owner, family, now);
        let other = || self.own_to_forget(owner, family.other(), now).filter(|_| !is_all_of_family);
        own.or_else(other).map(Some).ok_or(AddressError::Full)
    }

    /// The address to forget so that this owner can have one of this family, if the table is full or the range has none left.
    fn to_forget_for_room(
        &self,
        owner: &Owner,
        (family, has_free): (Family, bool),
        now: Duration,
    ) -> Result<Option<IpAddr>, AddressError> {
        if has_free && self.entries.len() < self.options.max.get() {
            return Ok(None);
        }
        // Only an address of this family makes room in its range.
        let families = [family, family.other()].into_iter().take(if has_free { 2 } else { 1 });
        let others = families.clone().find_map(|family| self.others_to_forget(owner, family));
        let own = || families.clone().find_map(|family| self.own_to_forget(owner, family, now));
        others.or_else(own).map(Some).ok_or(AddressError::Full)
    }

    /// How many addresses of a family a client has.
    fn held_by(&self, client: &Client, family: Family) -> usize {
        self.shares.get(&family).map_or(0, |shares| shares.held_by(client))
    }

    /// The address of other clients to forget first so that this owner can have another one.
    fn others_to_forget(&self, owner: &Owner, family: Family) -> Option<IpAddr> {
        self.shares.get(&family)?.of_others(&(self.client_of)(owner))
    }

    /// The address of the owner's own client to forget first so that the owner can have another one.
    fn own_to_forget(&self, owner: &Owner, family: Family, now: Duration) -> Option<IpAddr> {
        self.shares.get(&family)?.of_client(&(self.client_of)(owner), owner, now)
    }

    /// The first usable address of a family's range, and their number.
    fn usable(&self, family: Family) -> Result<(u128, u128), AddressError> {
        let ranges = &self.options.ranges;
        let range = match family {
            Family::V4 => ranges.v4().map(IpNet::V4),
            Family::V6 => ranges.v6().map(IpNet::V6),
        };
        range.map(VirtualRanges::usable).ok_or(AddressError::NoRange)
    }

    /// Picks an address that stands for nothing: a random one, or the next free one after it. `None` if the range has none left.
    fn free_address(&mut self, family: Family) -> Result<Option<IpAddr>, AddressError> {
        let (first, count) = self.usable(family)?;
        let map = &self.options.map;
        let start = self.random.next() % count;
        // One more than the number of taken addresses: at least one candidate is free.
        let tries = u128::try_from(self.entries.len() + map.len() + 1).unwrap_or(u128::MAX).min(count);
        let candidates = (0..tries).map(|offset| first + (start + offset) % count);
        let mut candidates = candidates
            .filter_map(|bits| match family {
                Family::V4 => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
                Family::V6 => Some(Ipv6Addr::from_bits(bits).into()),
            })
            .filter(|address| !self.entries.contains_key(address) && !map.contains_key(address));
        Ok(candidates.next())
    }
}

impl<Owner, Client> core::fmt::Debug for VirtualAddresses<Owner, Client> {
    /// Only the number: owners and targets do not belong in logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VirtualAddresses").field("len", &self.entries.len()).finish_non_exhaustive()
    }
}

/// Numbers that are unpredictable without the seed: hashes of the seed and a counter.
#[derive(Clone)]
struct Random {
    seed: [u8; 32],
    count: u64,
}

impl Random {
    fn next(&mut self) -> u128 {
        self.count += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.count.to_be_bytes()).finalize();
        hash.iter().take(16).fold(0, |number, &byte| (number << 8) | u128::from(byte))
    }
}
