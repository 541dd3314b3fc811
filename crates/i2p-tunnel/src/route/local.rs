//! Local hosts: names and addresses that mean a different host on every network. They never go to an outproxy unless a route names
//! them.

use std::net::{Ipv4Addr, Ipv6Addr};

use i2p_name::Target;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::outside::OutsideHost;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(first: u16, second: u16, third: u16, last: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, last), length))
}

/// Ranges of local addresses. Routes exclude them unless they name them. They are the ranges that the IANA special-purpose
/// registries (RFC 6890) do not list as global, without those for documentation, which lead nowhere.
pub const LOCAL_NETWORKS: &[IpNet] = &[
    v4(0, 0, 0, 0, 8),          // this host on this network
    v4(10, 0, 0, 0, 8),         // private
    v4(100, 64, 0, 0, 10),      // shared by a provider's customers
    v4(127, 0, 0, 0, 8),        // loopback
    v4(169, 254, 0, 0, 16),     // link-local
    v4(172, 16, 0, 0, 12),      // private
    v4(192, 0, 0, 0, 24),       // protocol assignments
    v4(192, 168, 0, 0, 16),     // private
    v4(198, 18, 0, 0, 15),      // benchmarks
    v4(224, 0, 0, 0, 4),        // multicast
    v4(240, 0, 0, 0, 4),        // reserved, and broadcast
    v6(0, 0, 0, 0, 127),        // unspecified and loopback
    v6(0x64, 0xff9b, 1, 0, 48), // translation to IPv4 within a site (RFC 8215)
    v6(0x100, 0, 0, 0, 64),     // discard
    v6(0x2001, 0, 0, 0, 32),    // Teredo: an IPv4 address within
    v6(0x2002, 0, 0, 0, 16),    // 6to4: an IPv4 address within
    v6(0xfc00, 0, 0, 0, 7),     // unique local
    v6(0xfe80, 0, 0, 0, 10),    // link-local
    v6(0xfec0, 0, 0, 0, 10),    // site-local, once
    v6(0xff00, 0, 0, 0, 8),     // multicast
];

/// Domains of local hosts. Routes exclude them unless they name them. Names without a dot are local too, since their meaning depends
/// on a search list or on the home router.
pub const LOCAL_DOMAINS: &[&str] = &[
    "localhost", // this machine (RFC 6761 section 6.3)
    "local",     // multicast DNS (RFC 6762)
    "home.arpa", // the network at home (RFC 8375)
    "internal",  // private networks (ICANN, 2024)
    "lan",       // private networks, by custom of many home routers
    "test",      // local tests (RFC 6761 section 6.2)
    "invalid",   // never resolves (RFC 6761 section 6.4)
    "onion",     // Tor: must not leak to other resolvers (RFC 7686)
];

/// Whether a host is local: an address in [`LOCAL_NETWORKS`], a name without a dot, or one below [`LOCAL_DOMAINS`].
pub(super) fn is_local(host: OutsideHost<'_>) -> bool {
    match (host.address(), host.name()) {
        (Some(address), _) => is_local_range(address.into()),
        (_, Some(name)) => is_local_name(name),
        (None, None) => true,
    }
}

/// Those of [`LOCAL_DOMAINS`] that are on no network.
const NOWHERE: [&str; 2] = ["invalid", "onion"];

impl OutsideHost<'_> {
    /// Whether a target is a host outside I2P that [is near](Self::is_near).
    #[must_use]
    pub fn is_near_target(target: &Target) -> bool {
        OutsideHost::of(target).is_some_and(OutsideHost::is_near)
    }

    /// Whether the host is on this machine or on a network that it is in, by its name or address.
    #[must_use]
    pub fn is_near(self) -> bool {
        is_local(self) && !self.name().is_some_and(|name| NOWHERE.iter().any(|domain| is_below(name, domain)))
    }
}

/// Whether a name has no dot, or is one of [`LOCAL_DOMAINS`] or below one.
pub(super) fn is_local_name(name: &str) -> bool {
    !name.contains('.') || LOCAL_DOMAINS.iter().any(|domain| name == *domain || is_below(name, domain))
}

/// Whether every name with this suffix is below one of [`LOCAL_DOMAINS`].
pub(super) fn is_local_suffix(suffix: &str) -> bool {
    LOCAL_DOMAINS.iter().any(|domain| is_below(suffix, domain))
}

/// Whether one of [`LOCAL_DOMAINS`] is below this name.
pub(super) fn has_local_subdomain(name: &str) -> bool {
    LOCAL_DOMAINS.iter().any(|domain| is_below(domain, name))
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether every address in a range is local.
pub(super) fn is_local_range(range: IpNet) -> bool {
    let holds = |local: &IpNet| match (local, &range) {
        (IpNet::V4(local), IpNet::V4(range)) => local.contains(range),
        (IpNet::V6(local), IpNet::V6(range)) => local.contains(range),
        _ => false,
    };
    LOCAL_NETWORKS.iter().any(holds)
}

/// Whether some address in a range is local. Of two ranges that overlap, one contains the other.
pub(super) fn overlaps_local(range: IpNet) -> bool {
    is_local_range(range) || LOCAL_NETWORKS.iter().any(|local| range.contains(local))
}

#[cfg(test)]
mod tests {
    use i2p_name::Target;

    use super::*;

    fn local(host: &str) -> bool {
        is_local(OutsideHost::of(&Target::parse(host.as_bytes()).unwrap()).unwrap())
    }

    #[test]
    fn local_hosts_are_recognised() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "router",
            "wpad.",
            "com",
            "nas.local",
            "Router.LAN",
            "printer.home.arpa",
            "home.arpa",
            "db.internal",
            "a.b.test",
            "a.invalid",
            "abc.onion",
            "onion",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.53",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.251",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "fd00::1",
            "fe80::1",
            "ff02::fb",
        ] {
            assert!(local(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "a.notlocalhost",
            "a.xlan",
            "local.example",
            "onion.to",
            "1.in-addr.arpa",
            "myhome.arpa",
            "example.com",
            "9.255.255.255",
            "11.0.0.0",
            "172.32.0.1",
            "192.169.0.1",
            "198.51.100.7",
            "8.8.8.8",
            "2001:db8::1",
            "2606:4700::1111",
            "::808:808",
        ] {
            assert!(!local(host), "{host}");
        }
    }

    #[test]
    fn a_range_is_local_only_as_a_whole() {
        for (range, expected) in [
            ("10.0.0.0/8", true),
            ("10.1.0.0/16", true),
            ("10.0.0.0/7", false),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("fe80::/10", true),
            ("fc00::/6", false),
            ("::1/128", true),
            ("198.51.100.0/24", false),
        ] {
            let range: IpNet = range.parse().unwrap();
            assert_eq!(is_local_range(range), expected, "{range}");
            assert_eq!(overlaps_local(range), range.to_string() != "198.51.100.0/24", "{range}");
        }
    }
}
