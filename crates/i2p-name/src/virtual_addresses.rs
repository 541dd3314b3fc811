use alloc::collections::BTreeMap;
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroUsize,
    time::Duration,
};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::{
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
}

/// The settings of a [`VirtualAddresses`] table.
#[derive(Debug, Clone)]
pub struct VirtualOptions {
    /// The ranges that addresses are taken from.
    pub ranges: VirtualRanges,
    /// How long after its last use an address expires; `None`: never.
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
    /// The limit is reached, or the range has no address left, and none has expired.
    #[error("all virtual addresses are in use")]
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
/// The table has no clock: `now` is the time since any fixed moment, and never goes back.
#[derive(Clone)]
pub struct VirtualAddresses<Owner> {
    options: VirtualOptions,
    static_addresses: BTreeMap<(NamedTarget, Family), IpAddr>,
    entries: BTreeMap<IpAddr, Entry<Owner>>,
    addresses: BTreeMap<(Owner, NamedTarget, Family), IpAddr>,
    /// No address expires before this time.
    sweep_at: Duration,
    random: Random,
}

#[derive(Clone)]
struct Entry<Owner> {
    owner: Owner,
    target: NamedTarget,
    uses: usize,
    last_use: Duration,
}

impl<Owner: Clone + Ord> VirtualAddresses<Owner> {
    /// Makes an empty table. The seed decides which addresses it gives out: 32 bytes that nobody can guess.
    #[must_use]
    pub fn new(options: VirtualOptions, seed: [u8; 32]) -> Self {
        let map: BTreeMap<_, _> =
            options.map.into_iter().map(|(address, target)| (canonical(address), target)).collect();
        let mut static_addresses = BTreeMap::new();
        for (address, target) in &map {
            // A target with several gets the lowest.
            static_addresses.entry((target.clone(), Family::of(*address))).or_insert(*address);
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
        self.sweep(now);
        let key = (owner.clone(), target.clone(), family);
        if let Some(&address) = self.addresses.get(&key) {
            if let Some(entry) = self.entries.get_mut(&address) {
                entry.last_use = now;
            }
            return Ok(address);
        }
        let address = self.free_address(family)?;
        let entry = Entry { owner: owner.clone(), target: target.clone(), uses: 0, last_use: now };
        self.entries.insert(address, entry);
        self.addresses.insert(key, address);
        Ok(address)
    }

    /// Returns the target that an address stands for, if it belongs to this owner or is static. Counts as a use of the
    /// address at `now`.
    pub fn target_of(&mut self, owner: &Owner, address: IpAddr, now: Duration) -> Option<NamedTarget> {
        let address = canonical(address);
        if let Some(target) = self.options.map.get(&address) {
            return Some(target.clone());
        }
        self.sweep(now);
        let entry = self.entries.get_mut(&address).filter(|entry| entry.owner == *owner)?;
        entry.last_use = now;
        Some(entry.target.clone())
    }

    /// Like [`target_of`](Self::target_of), and marks the address as in use until it has been [released](Self::release) as
    /// often as acquired.
    pub fn acquire(&mut self, owner: &Owner, address: IpAddr, now: Duration) -> Option<NamedTarget> {
        let target = self.target_of(owner, address, now)?;
        if let Some(entry) = self.entries.get_mut(&canonical(address)) {
            entry.uses += 1;
        }
        Some(target)
    }

    /// Ends one use of an acquired address. Once no use is left, its time until expiry starts.
    pub fn release(&mut self, address: IpAddr, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&canonical(address)) {
            entry.uses = entry.uses.saturating_sub(1);
            entry.last_use = now;
        }
    }

    /// Removes expired addresses. Costs nothing before the earliest can expire.
    fn sweep(&mut self, now: Duration) {
        let Some(expire_after) = self.options.expire_after.filter(|_| now >= self.sweep_at) else { return };
        let expires = |entry: &Entry<Owner>| match entry.uses {
            0 => entry.last_use.saturating_add(expire_after),
            // As if it were released now.
            _ => now.saturating_add(expire_after),
        };
        let Self { entries, addresses, .. } = self;
        entries.retain(|_, entry| expires(entry) > now);
        addresses.retain(|_, address| entries.contains_key(address));
        let next = entries.values().map(expires).min();
        self.sweep_at = next.unwrap_or_else(|| now.saturating_add(expire_after));
    }

    /// Picks an address that stands for nothing: a random one, or the next free one after it.
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
        // One more than the number of taken addresses: at least one candidate is free.
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
