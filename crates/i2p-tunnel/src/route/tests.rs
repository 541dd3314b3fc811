use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use i2p_name::{Family, I2pName, NamedTarget, VirtualOptions};
use proptest::prelude::*;
use socks_wire::stream::OwnedAddress;

use super::*;
use crate::{
    client::{Client, ClientAddress, ClientCredentials, ClientProtocol},
    names::{self, AddressOwner, AddressPool},
};

fn route(host: &str, ports: &str, via: &[&str]) -> Route {
    let via = match via {
        [] => Via::Reject,
        names => Via::Outproxies(names.iter().map(|name| Arc::from(*name)).collect()),
    };
    Route { host: host.parse().unwrap(), ports: ports.parse().unwrap(), via }
}

/// The decision of the routes as a short text.
fn decided(routes: &Routes, host: &str, port: u16) -> String {
    match routes.decide(&Target::parse(host.as_bytes()).unwrap(), port) {
        Verdict::I2p => "i2p".into(),
        Verdict::Outproxies { names, route, .. } => format!("{route} {}", names.join(" ")),
        Verdict::Rejected { route } => format!("{route} reject"),
        Verdict::NoRoute => "none".into(),
    }
}

/// Lets out every host that routes can let out.
fn wide_open() -> Routes {
    let hosts =
        ["*", "0.0.0.0/0", "::/0", "250.0.0.0/8", "fd91:cbed:4d7e::/64", "*p", "*t", ".alt", ".localhost"];
    Routes::new(hosts.iter().map(|host| route(host, "1-65535", &["out"])).collect())
}

#[test]
fn the_first_rule_that_matches_decides() {
    let routes = Routes::new(vec![
        route("bad.example", "1-65535", &[]),
        route("*.onion", "1-65535", &["tor"]),
        route("*", "25,465", &[]),
        route("*", "80,443,8000-8999", &["a", "b"]),
        route(".example", "22", &["b"]),
        route("10.1.0.0/16", "1-65535", &["lan"]),
    ]);
    for (host, port, expected) in [
        ("bad.example", 80, "0 reject"),
        ("a.bad.example", 80, "3 a b"),
        ("x.onion", 25, "1 tor"),
        ("x.org", 25, "2 reject"),
        ("x.org", 80, "3 a b"),
        ("x.org", 8500, "3 a b"),
        ("198.51.100.7", 443, "3 a b"),
        ("x.org", 22, "none"),
        ("x.example", 22, "4 b"),
        ("x.example", 0, "none"),
        ("x.i2p", 80, "i2p"),
        ("10.1.2.3", 80, "5 lan"),
        ("10.2.2.3", 80, "none"),
    ] {
        assert_eq!(decided(&routes, host, port), expected, "{host}:{port}");
    }
    assert_eq!(decided(&Routes::default(), "example.com", 80), "none");
}

#[test]
fn local_hosts_leave_only_if_a_rule_names_them() {
    let open = Routes::new(
        ["*", "*host", "0.0.0.0/0", "::/0", "10.0.0.0/7"].map(|host| route(host, "1-65535", &["out"])).into(),
    );
    for host in [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "localhost",
        "a.localhost",
    ] {
        assert_eq!(decided(&open, host, 80), "none", "{host}");
        let pattern = if host == "a.localhost" { ".localhost" } else { host };
        let named = Routes::new(vec![route(pattern, "1-65535", &["out"])]);
        assert_eq!(decided(&named, host, 80), "0 out", "{host}");
    }
    // Names of the local network and of Tor do not match patterns that do not end in their domain.
    let stars = ["*", "*n", "*al", "*o*", "r*", "*.arpa", ".arpa", "n*.lo*l"];
    let open = Routes::new(stars.map(|host| route(host, "1-65535", &["out"])).into());
    for (host, named) in [
        ("router", &["router"][..]),
        ("nas.local", &["nas.local", ".local", "*.local", "n*.local"]),
        ("router.lan", &["router.lan", ".lan", "r*r.lan"]),
        ("printer.home.arpa", &[".home.arpa", "*.home.arpa"]),
        ("db.internal", &[".internal"]),
        ("a.test", &["*.test"]),
        ("a.invalid", &["a.invalid"]),
        ("abc.onion", &["*.onion", ".onion", "abc.onion"]),
    ] {
        assert_eq!(decided(&open, host, 80), "none", "{host}");
        for pattern in named {
            let routes =
                Routes::new(vec![route("*", "1-65535", &["far"]), route(pattern, "1-65535", &["out"])]);
            assert_eq!(decided(&routes, host, 80), "1 out", "{host} by {pattern}");
            assert_eq!(routes.shadowed_routes(), [], "{pattern}");
        }
    }
    let target = Target::parse(b"10.0.0.1").unwrap();
    let compared = open.as_slice()[0].compare(OutsideHost::of(&target).unwrap(), 80);
    assert_eq!(compared, Comparison::LocalHost);
    assert_eq!(decided(&Routes::new(vec![route("*", "1-65535", &[])]), "10.0.0.1", 80), "0 reject");
}

#[test]
fn rules_that_never_decide_are_found() {
    let routes = Routes::new(vec![
        route("*.onion", "1-65535", &["tor"]),
        route("*.onion", "80", &["out"]),
        route("*", "80-90,443", &["out"]),
        route("example.com", "80", &["out"]),
        route("example.com", "80,8080", &["out"]),
        route("10.0.0.0/8", "80", &["lan"]),
        route("localhost", "80", &["lan"]),
        route("*", "1-65535", &[]),
        route("10.0.0.0/8", "22", &["lan"]),
    ]);
    assert_eq!(routes.shadowed_routes(), [(1, 0), (3, 2), (8, 7)]);
    let local_hosts_remain =
        vec![route("*", "1-65535", &["out"]), route("bad.example", "80", &[]), route("*", "80", &[])];
    assert_eq!(
        Routes::new(local_hosts_remain).shadowed_routes(),
        [(1, 0)],
        "the last route still refuses local hosts"
    );
}

#[test]
fn a_rule_is_displayed_in_one_line() {
    assert_eq!(route("*", "1-65535", &[]).to_string(), "host *, all ports, reject");
    assert_eq!(route("*.onion", "80,443", &["a", "b"]).to_string(), "host *.onion, port 80,443, via a, b");
}

fn goes_to_i2p(target: &Target, port: u16) -> bool {
    wide_open().decide(target, port) == Verdict::I2p
}

/// A label in any spelling that clients use.
fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{1,12}",
        "xn--[a-z0-9]{1,8}",
        "[a-z0-9-]{1,60}",
        "[ä-üА-я]{1,6}",
        "[a-z2-7]{52}",
        "b32|B32|proxy|localhost"
    ]
}

/// A dot in any form that international names use (UTS 46).
fn dot() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![".", "。", "．", "｡"])
}

/// `i2p` in capitals, in full width, and with invisible characters.
fn i2p() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "i2p",
        "I2P",
        "I2p",
        "i2P",
        "ｉ２ｐ",
        "Ｉ２Ｐ",
        "ⅰ2p",
        "i²p",
        "i\u{ad}2p",
        "i2p\u{200b}",
        "xn--i2p-",
        "XN--2p-GOC",
        "\u{456}2p",
        "i2p_",
        "-i2p",
        "l2p",
        "i\u{662}p",
    ])
}

/// [`OutsideHost::of`] does not rely on the parser alone.
#[test]
fn the_second_check_finds_i2p_names_by_itself() {
    for name in ["i2p", "a.i2p", "a.i2p.", "a.b.i2p..", "i2p.alt", "a.i2p.alt", "a.i2p.alt."] {
        assert!(outside::is_i2p(name), "{name}");
    }
    for name in ["xi2p", "a.i2px", "i2p.com", "a.alt", "example.com", "i2p.alt.com"] {
        assert!(!outside::is_i2p(name), "{name}");
    }
}

/// Names that end in `.i2p` in some spelling, or are `i2p`.
fn i2p_spelling() -> impl Strategy<Value = String> {
    let alt =
        prop_oneof![Just(String::new()), (dot(), "alt|ALT|Alt").prop_map(|(dot, alt)| format!("{dot}{alt}"))];
    let end = prop_oneof![Just(""), dot()];
    (prop::collection::vec((label(), dot()), 0..4), i2p(), alt, end).prop_map(|(labels, i2p, alt, end)| {
        let labels: String = labels.into_iter().map(|(label, dot)| label + dot).collect();
        format!("{labels}{i2p}{alt}{end}")
    })
}

/// Hosts that patterns of [`overlapping_routes`] tell apart. All ports there are as one from 78 to 82.
const HOSTS: [&str; 11] = [
    "a.com",
    "b.com",
    "com",
    "localhost",
    "a.localhost",
    "x.onion",
    "a.home.arpa",
    "10.1.0.1",
    "10.2.0.1",
    "198.51.100.1",
    "::1",
];

fn overlapping_routes() -> impl Strategy<Value = Routes> {
    let patterns = [
        "*",
        "*.com",
        "a.com",
        ".com",
        "localhost",
        "*.onion",
        "*n",
        ".arpa",
        ".home.arpa",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "0.0.0.0/0",
        "198.51.100.0/24",
    ];
    let host = prop::sample::select(patterns.to_vec());
    let ports = prop::sample::select(vec!["1-65535", "80", "79-80", "79,81"]);
    let one = (host, ports, any::<bool>())
        .prop_map(|(host, ports, out)| route(host, ports, if out { &["out"] } else { &[] }));
    prop::collection::vec(one, 2..6).prop_map(Routes::new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The invariant of [`OutsideHost::of`], over spellings.
    #[test]
    fn i2p_in_any_spelling_is_never_for_an_outproxy(host in i2p_spelling(), port: u16) {
        if let Ok(target) = Target::parse(host.as_bytes()) {
            prop_assert!(OutsideHost::of(&target).is_none(), "{}", host);
            prop_assert!(goes_to_i2p(&target, port), "{}", host);
        }
    }

    /// Whatever bytes a client sends, a host that leaves does not end in `i2p` or `i2p.alt`, as an independent check finds.
    #[test]
    fn no_host_that_leaves_ends_in_i2p(host in prop_oneof![prop::collection::vec(any::<u8>(), 0..80), ".{0,40}".prop_map(String::into_bytes)]) {
        if let Ok(target) = Target::parse(&host)
            && let Verdict::Outproxies { host, .. } = wide_open().decide(&target, 80)
        {
            let name = host.name().unwrap_or_default().to_lowercase();
            let labels = name.split('.').map(|label| label.trim_matches(['-', '_'])).filter(|label| !label.is_empty());
            let labels: Vec<_> = labels.collect();
            prop_assert!(!matches!(labels.as_slice(), [.., "i2p"] | [.., "i2p", "alt"]), "{}", name);
        }
    }

    /// A route that is reported as shadowed decides no request.
    #[test]
    fn a_shadowed_rule_never_decides(
        routes in overlapping_routes(), host in prop::sample::select(&HOSTS[..]), port in 79..82_u16
    ) {
        let decides = match routes.decide(&Target::parse(host.as_bytes()).unwrap(), port) {
            Verdict::Outproxies { route, .. } | Verdict::Rejected { route } => Some(route),
            _ => None,
        };
        prop_assert!(routes.shadowed_routes().iter().all(|(shadowed, _)| Some(*shadowed) != decides));
    }

    /// DNS gives an address to a host that some port leads out of.
    #[test]
    fn a_host_that_cannot_lead_out_does_so_at_no_port(
        routes in overlapping_routes(), host in prop::sample::select(&HOSTS[..])
    ) {
        let target = Target::parse(host.as_bytes()).unwrap();
        let leads_out = (78..=82).any(|port| matches!(routes.decide(&target, port), Verdict::Outproxies { .. }));
        prop_assert!(routes.may_lead_out(&target) || !leads_out);
    }

    /// Names that a search list, multicast DNS or a home router resolves never leave unless a route names them.
    #[test]
    fn names_of_the_local_network_stay_there(
        labels in "([a-z0-9_]{1,8}\\.){0,3}", end in "localhost|local|home\\.arpa|internal|lan|test|invalid|onion", bare in "[a-z_]{1,12}"
    ) {
        for host in [format!("{labels}{end}"), bare.replace("i2p", "x")] {
            if let Ok(target) = Target::parse(host.as_bytes()) {
                let stars = ["*", "*a*", "*e", "l*", "*o*"].map(|host| route(host, "1-65535", &["out"]));
                let routes = Routes::new(stars.into());
                prop_assert_eq!(routes.decide(&target, 80), Verdict::NoRoute, "{}", host);
            }
        }
    }

    /// Base32 addresses go to I2P too.
    #[test]
    fn base32_addresses_are_never_for_an_outproxy(hash in "[a-z2-7]{51}[aq]", upper: bool) {
        let host = format!("{hash}.b32.i2p");
        let host = if upper { host.to_uppercase() } else { host };
        prop_assert!(goes_to_i2p(&Target::parse(host.as_bytes()).unwrap(), 80));
    }

    /// An address of the virtual ranges, as bytes or as text, becomes an I2P name if it is assigned and an error if not, before
    /// any route is compared.
    #[test]
    fn virtual_addresses_are_never_for_an_outproxy(low in any::<[u8; 11]>(), v6: bool, text: bool, assigned: bool) {
        let pool = AddressPool::new(VirtualOptions::default()).unwrap();
        let owner = AddressOwner::of_client(&client());
        let address = match (assigned, v6) {
            (true, _) => {
                let target = NamedTarget::I2p(I2pName::parse("example.i2p").unwrap());
                pool.address_of(&owner, &target, if v6 { Family::V6 } else { Family::V4 }).unwrap()
            }
            (false, false) => IpAddr::V4(Ipv4Addr::new(250, low[0], low[1], low[2])),
            (false, true) => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&[0xfd, 0x91, 0xcb, 0xed, 0x4d, 0x7e, 0, 0]);
                bytes[8..].copy_from_slice(&low[..8]);
                IpAddr::V6(Ipv6Addr::from(bytes))
            }
        };
        let address = if text { OwnedAddress::Domain(address.to_string().into_bytes()) } else { OwnedAddress::Ip(address) };
        if let Ok((target, _lease)) = names::target_to_dial(&address, &owner, &pool) {
            prop_assert!(assigned);
            prop_assert!(goes_to_i2p(&target, 80));
        }
    }
}

fn client() -> Client {
    Client {
        address: ClientAddress::User(0),
        listener: "a".into(),
        protocol: ClientProtocol::Socks5,
        credentials: ClientCredentials::None,
    }
}

/// Guards the properties above, which would also hold if no host could leave at all.
#[test]
fn the_rules_of_the_properties_let_other_hosts_out() {
    for host in
        ["example.com", "i2p.example", "i2p.alt.example", "198.51.100.7", "2001:db8::1", "a.xi2p", "a.alt"]
    {
        assert!(decided(&wide_open(), host, 80).ends_with("out"), "{host}");
    }
}
