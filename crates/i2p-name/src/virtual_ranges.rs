use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::ip;

/// IPv4 networks that the internet does not route, so packets that a program sends there by mistake reach nobody (IANA
/// registry of special-purpose addresses). Multicast is left out: programs do not connect to it.
const NEVER_ROUTED_V4: [Ipv4Net; 11] = [
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 2, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([240, 0, 0, 0], 4),
];

/// The same for IPv6: discard-only, benchmarking, documentation (two), unique local, link-local.
const NEVER_ROUTED_V6: [Ipv6Net; 6] = [
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    v6([0x2001, 0x2, 0, 0, 0, 0, 0, 0], 48),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// The ranges that virtual addresses are taken from.
///
/// The default ranges, with reasons:
///
/// * `250.0.0.0/8` is part of 240.0.0.0/4, which is reserved, never forwarded and unused. Programs under torsocks can connect to
///   it. The alternatives are worse: torsocks 2.4 refuses 127.0.0.0/8 (Tor's default) as local; other proxies take their
///   virtual addresses from 198.18.0.0/15; private networks are in use; 255.0.0.0/8 contains the broadcast address.
/// * `fd91:cbed:4d7e::/64` is a unique local prefix with a random identifier (RFC 4193), which home routers do not forward.
///   Link-local addresses are no alternative: programs cannot connect to them without naming an interface.
///
/// Both ranges are large, so an address does not reveal how many are in use, and guessing finds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualRanges {
    v4: Option<Ipv4Net>,
    v6: Option<Ipv6Net>,
}

/// Why a range cannot be used for virtual addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Some of its addresses can be routed on the internet.
    #[error(
        "addresses of this range can be on the internet; use a range within 240.0.0.0/4, 198.18.0.0/15, 10.0.0.0/8 or \
         fd00::/8"
    )]
    Routed,
    /// It has no addresses besides the first and the last, which are never given out.
    #[error("the range has no usable address; use a shorter prefix")]
    TooSmall,
}

impl Default for VirtualRanges {
    fn default() -> Self {
        Self { v4: Some(v4([250, 0, 0, 0], 8)), v6: Some(v6([0xfd91, 0xcbed, 0x4d7e, 0, 0, 0, 0, 0], 64)) }
    }
}

impl VirtualRanges {
    /// Makes the ranges; `None`: no addresses of that family.
    ///
    /// # Errors
    /// [`RangeError`] for the first range that cannot be used.
    pub fn new(v4: Option<Ipv4Net>, v6: Option<Ipv6Net>) -> Result<Self, RangeError> {
        let (v4, v6) = (v4.map(|range| range.trunc()), v6.map(|range| range.trunc()));
        let inside_v4 = |range: &Ipv4Net| NEVER_ROUTED_V4.iter().any(|never| never.contains(range));
        let inside_v6 = |range: &Ipv6Net| NEVER_ROUTED_V6.iter().any(|never| never.contains(range));
        if !v4.iter().all(inside_v4) || !v6.iter().all(inside_v6) {
            return Err(RangeError::Routed);
        }
        if v4.is_some_and(|range| range.prefix_len() > 30) || v6.is_some_and(|range| range.prefix_len() > 126)
        {
            return Err(RangeError::TooSmall);
        }
        Ok(Self { v4, v6 })
    }

    /// The range of IPv4 addresses.
    #[must_use]
    pub fn v4(&self) -> Option<Ipv4Net> {
        self.v4
    }

    /// The range of IPv6 addresses.
    #[must_use]
    pub fn v6(&self) -> Option<Ipv6Net> {
        self.v6
    }

    /// Whether an address is in one of the ranges. An IPv4 address embedded in an IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match canonical(address) {
            IpAddr::V4(address) => self.v4.is_some_and(|range| range.contains(&address)),
            IpAddr::V6(address) => self.v6.is_some_and(|range| range.contains(&address)),
        }
    }

    /// The usable addresses of a range as numbers: the first one and their count. The network address and the broadcast address
    /// are left out because some programs refuse them.
    pub(crate) fn usable(range: IpNet) -> (u128, u128) {
        let (first, last) = match range {
            IpNet::V4(range) => (range.network().to_bits().into(), range.broadcast().to_bits().into()),
            IpNet::V6(range) => (range.network().to_bits(), range.broadcast().to_bits()),
        };
        (first + 1, (last - first).saturating_sub(1))
    }
}

/// The canonical form of an address, as in [`Target::Ip`](crate::Target::Ip).
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => ip::unmap(v6),
    }
}
