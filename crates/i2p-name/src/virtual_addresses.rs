use alloc::collections::BTreeMap;
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroUsize,
    time::Duration,
};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::{
    I2pName,
    virtual_ranges::{VirtualRanges, canonical},
};

/// The kind of an address.
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
}

/// What a table of virtual addresses is like.
#[derive(Debug, Clone)]
pub struct VirtualOptions {
    /// Where addresses are taken from.
    pub ranges: VirtualRanges,
    /// How long after its last use an address is forgotten; never if not set.
    pub expire_after: Option<Duration>,
    /// The most addresses at one time, static ones not counted.
    pub max: NonZeroUsize,
    /// Addresses that always mean the same name, to everybody. They may be any addresses.
    pub map: BTreeMap<IpAddr, I2pName>,
}

impl Default for VirtualOptions {
    /// An hour, and 16,384 addresses.
    fn default() -> Self {
        Self {
            ranges: VirtualRanges::default(),
            expire_after: Some(Duration::from_secs(60 * 60)),
            max: NonZeroUsize::MIN.saturating_add(16_383),
            map: BTreeMap::new(),
        }
    }
}

/// Why a name gets no virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no range of this family.
    #[error("there is no range of virtual addresses of this family")]
    NoRange,
    /// As many as there may be, or as the range has, were given out and none has expired.
    #[error("all virtual addresses are in use")]
    Full,
}

/// Addresses that stand for names of I2P, where names have none.
///
/// Programs that know no SOCKS with host names ask for the address of a name first and then connect to that. They get an
/// address of a range that leads nowhere, and later the proxy knows the name by it.
///
/// Each address belongs to the `Owner` that asked for it: to others it means nothing, so that no client learns by trying
/// addresses what another one looks for. The same owner, name and [`Family`] get the same address until it
/// expires; an address is never two names', and while it is in use ([`acquire`](Self::acquire)) or has not expired
/// it stays its name's. Addresses are taken at random.
///
/// There is no clock here: `now` is the time since any fixed moment, and never goes back.
#[derive(Clone)]
pub struct VirtualAddresses<Owner> {
    options: VirtualOptions,
    static_addresses: BTreeMap<(I2pName, Family), IpAddr>,
    entries: BTreeMap<IpAddr, Entry<Owner>>,
    addresses: BTreeMap<(Owner, I2pName, Family), IpAddr>,
    /// Nothing expires before.
    sweep_at: Duration,
    random: Random,
}

#[derive(Clone)]
struct Entry<Owner> {
    owner: Owner,
    name: I2pName,
    uses: usize,
    last_use: Duration,
}

impl<Owner: Clone + Ord> VirtualAddresses<Owner> {
    /// An empty table. Which addresses it gives out follows from the seed: 32 bytes that nobody can guess.
    #[must_use]
    pub fn new(options: VirtualOptions, seed: [u8; 32]) -> Self {
        let map: BTreeMap<_, _> =
            options.map.into_iter().map(|(address, name)| (canonical(address), name)).collect();
        let mut static_addresses = BTreeMap::new();
        for (address, name) in &map {
            // The lowest, where a name has several.
            static_addresses.entry((name.clone(), Family::of(*address))).or_insert(*address);
        }
        Self {
            options: VirtualOptions { map, ..options },
            static_addresses,
            entries: BTreeMap::new(),
            addresses: BTreeMap::new(),
            sweep_at: Duration::ZERO,
            random: Random { seed, count: 0 },
        }
    }

    /// How many addresses there are, static ones not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether an address is in one of the ranges, whatever it means. Such an address must not go anywhere else.
    #[must_use]
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.options.ranges.contain(address)
    }

    /// The address of a name for this owner: the static one, the one that it has got before, or a new one.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn address_of(
        &mut self,
        owner: &Owner,
        name: &I2pName,
        family: Family,
        now: Duration,
    ) -> Result<IpAddr, AddressError> {
        if let Some(&address) = self.static_addresses.get(&(name.clone(), family)) {
            return Ok(address);
        }
        self.sweep(now);
        let key = (owner.clone(), name.clone(), family);
        if let Some(&address) = self.addresses.get(&key) {
            if let Some(entry) = self.entries.get_mut(&address) {
                entry.last_use = now;
            }
            return Ok(address);
        }
        let address = self.free_address(family)?;
        let entry = Entry { owner: owner.clone(), name: name.clone(), uses: 0, last_use: now };
        self.entries.insert(address, entry);
        self.addresses.insert(key, address);
        Ok(address)
    }

    /// The name that an address means to this owner, if it means one. Counts as a use in this moment.
    pub fn name_of(&mut self, owner: &Owner, address: IpAddr, now: Duration) -> Option<I2pName> {
        let address = canonical(address);
        if let Some(name) = self.options.map.get(&address) {
            return Some(name.clone());
        }
        self.sweep(now);
        let entry = self.entries.get_mut(&address).filter(|entry| entry.owner == *owner)?;
        entry.last_use = now;
        Some(entry.name.clone())
    }

    /// As [`name_of`](Self::name_of), and the address stays what it is until it was [released](Self::release) as often as
    /// acquired.
    pub fn acquire(&mut self, owner: &Owner, address: IpAddr, now: Duration) -> Option<I2pName> {
        let name = self.name_of(owner, address, now)?;
        if let Some(entry) = self.entries.get_mut(&canonical(address)) {
            entry.uses += 1;
        }
        Some(name)
    }

    /// Ends one use of an address that was acquired; its time to expire begins with the last.
    pub fn release(&mut self, address: IpAddr, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&canonical(address)) {
            entry.uses = entry.uses.saturating_sub(1);
            entry.last_use = now;
        }
    }

    /// Forgets what has expired. Costs nothing before anything can have.
    fn sweep(&mut self, now: Duration) {
        let Some(expire_after) = self.options.expire_after.filter(|_| now >= self.sweep_at) else { return };
        let expires = |entry: &Entry<Owner>| match entry.uses {
            0 => entry.last_use.saturating_add(expire_after),
            // As if it were released in this moment.
            _ => now.saturating_add(expire_after),
        };
        let Self { entries, addresses, .. } = self;
        entries.retain(|_, entry| expires(entry) > now);
        addresses.retain(|_, address| entries.contains_key(address));
        let next = entries.values().map(expires).min();
        self.sweep_at = next.unwrap_or_else(|| now.saturating_add(expire_after));
    }

    /// An address that means nothing to anybody: a random one, or the next behind it.
    fn free_address(&mut self, family: Family) -> Result<IpAddr, AddressError> {
        let VirtualOptions { ranges, max, map, .. } = &self.options;
        let range = match family {
            Family::V4 => ranges.v4().map(IpNet::V4),
            Family::V6 => ranges.v6().map(IpNet::V6),
        };
        let (first, count) = VirtualRanges::usable(range.ok_or(AddressError::NoRange)?);
        if self.entries.len() >= max.get() {
            return Err(AddressError::Full);
        }
        let start = self.random.next() % count;
        // One more than can be taken is enough to find one that is not.
        let tries = u128::try_from(self.entries.len() + map.len() + 1).unwrap_or(u128::MAX).min(count);
        let candidates = (0..tries).map(|offset| first + (start + offset) % count);
        candidates
            .filter_map(|bits| match family {
                Family::V4 => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
                Family::V6 => Some(Ipv6Addr::from_bits(bits).into()),
            })
            .find(|address| !self.entries.contains_key(address) && !map.contains_key(address))
            .ok_or(AddressError::Full)
    }
}

impl<Owner> core::fmt::Debug for VirtualAddresses<Owner> {
    /// How many there are: whose and what they are does not belong in logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VirtualAddresses").field("len", &self.entries.len()).finish_non_exhaustive()
    }
}

/// Numbers that nobody can foretell who does not know the seed: hashes of the seed and a counter.
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
