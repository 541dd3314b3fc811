//! Names of machines that only their own network knows.

/// Domains that a home, an office, a router or a system gives to its machines (RFC 6761, RFC 6762, RFC 8375, and those that are in use
/// without a standard).
const LOCAL_DOMAINS: [&str; 25] = [
    "arpa",
    "attlocal.net",
    "corp",
    "dhcp",
    "domain",
    "fritz.box",
    "gateway",
    "home",
    "homenet",
    "internal",
    "intra",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localdomain6",
    "localhost",
    "localnet",
    "private",
    "router",
    "speedport.ip",
    "test",
    "wlan",
    "workgroup",
];
/// The names that every machine has for itself.
const OWN_NAMES: [&str; 5] = ["localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"];

/// Whether a name has no domain, or one of a local network.
pub(crate) fn is_local(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let ends_with = |domain: &str| {
        let start = name.len().checked_sub(domain.len() + 1);
        let end = start.and_then(|start| name.get(start..)).and_then(|end| end.strip_prefix(b"."));
        end.is_some_and(|end| end.eq_ignore_ascii_case(domain.as_bytes()))
    };
    !name.contains(&b'.') || LOCAL_DOMAINS.iter().any(|domain| ends_with(domain))
}

/// Whether a name is one that every machine has for itself, such as localhost or localhost.localdomain.
pub(crate) fn is_of_every_machine(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    is_local(name.as_bytes()) && OWN_NAMES.iter().any(|own| own.eq_ignore_ascii_case(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_are_told_from_public_ones() {
        for name in [
            "",
            "laptop",
            "LAPTOP.Local",
            "laptop.home.arpa",
            "laptop.lan.",
            "a.b.fritz.box",
            "4.3.2.1.in-addr.arpa",
        ] {
            assert!(is_local(name.as_bytes()), "{name}");
        }
        for name in
            ["mail.i2p", "laptop.example.org", "fritz.box", "a.xfritz.box", "local.i2p", "a.xlan", "lan.de"]
        {
            assert!(!is_local(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn every_machine_is_localhost() {
        for name in [
            "localhost",
            "LOCALHOST.localdomain",
            "localhost6.localdomain6",
            "ip6-localhost",
            "localhost.local",
        ] {
            assert!(is_of_every_machine(name), "{name}");
        }
        for name in ["localhosts", "laptop.localdomain", "localhost.example.org", "laptop.localhost"] {
            assert!(!is_of_every_machine(name), "{name}");
        }
    }
}
