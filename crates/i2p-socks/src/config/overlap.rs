//! Addresses on which one process cannot listen twice.

use std::net::SocketAddr;

use i2p_tunnel::ListenAt;

use super::{
    admin::AdminListen,
    problem::{Place, Problem},
};

/// An address of a tunnel.
#[derive(Debug)]
pub(super) struct TunnelListener<'a> {
    pub(super) at: ListenAt,
    /// The name of the tunnel.
    pub(super) tunnel: &'a str,
    pub(super) place: Place,
    /// Whether the tunnel has no `listen`.
    pub(super) is_default: bool,
}

/// The addresses of tunnels that cannot be listened on together, or not together with the admin endpoint.
pub(super) fn contradictions(listeners: &[TunnelListener<'_>], admin: &AdminListen) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, one) in listeners.iter().enumerate() {
        let earlier = listeners.iter().take(index).filter(|earlier| overlap(&one.at, &earlier.at));
        found.extend(earlier.map(|earlier| {
            let text = listened_on_twice(earlier, one) + &who_has_the_default(&[earlier, one]);
            Problem::new(text, [one.place, earlier.place]).of_entries()
        }));
    }
    let admin = match admin {
        AdminListen::Tcp(address) => Some(ListenAt::Tcp(*address)),
        #[cfg(unix)]
        AdminListen::Unix(path) => Some(ListenAt::Unix(i2p_tunnel::SocketFile::new(path))),
        #[cfg(not(unix))]
        AdminListen::Unix(_) => None,
        AdminListen::Off => None,
    };
    let taken = admin.and_then(|admin| listeners.iter().find(|one| overlap(&admin, &one.at)));
    found.extend(taken.map(|TunnelListener { at, place, .. }| {
        let text = format!(
            "listen under [admin] overlaps with {at}, on which a tunnel listens: choose another address or port for one of them"
        );
        Problem::new(text, [Place::of("admin", "listen"), *place]).of_entries()
    }));
    found
}

/// Why one process cannot listen on both, and what to do.
fn listened_on_twice(earlier: &TunnelListener<'_>, one: &TunnelListener<'_>) -> String {
    let (first, at) = (earlier.at.to_string(), one.at.to_string());
    match (first == at, earlier.place == one.place, earlier.tunnel == one.tunnel) {
        (false, ..) => format!(
            "{first} and {at} cannot both be under listen, because one includes the other: keep one of them, or choose another port"
        ),
        (true, true, _) => format!("{at} is listed twice under listen: list each address once"),
        (true, false, true) => format!("two tunnels listen on {at}: choose another address for one of them"),
        (true, false, false) => format!(
            "tunnels {} and {} both listen on {at}: choose another address for one of them",
            earlier.tunnel, one.tunnel
        ),
    }
}

/// Which of these tunnels have an address that nobody has written, as a sentence after another.
fn who_has_the_default(listeners: &[&TunnelListener<'_>]) -> String {
    let with_default: Vec<_> = listeners.iter().filter(|one| one.is_default).collect();
    let Some(one) = with_default.first() else { return String::new() };
    let names: Vec<_> = with_default.iter().map(|one| one.tunnel).collect();
    format!(". Without listen, as in {}, a tunnel listens on {}", names.join(" and "), one.at)
}

/// Whether one process cannot listen on both. Port 0 is a different port each time.
fn overlap(at: &ListenAt, other: &ListenAt) -> bool {
    match (at.socket_address(), other.socket_address()) {
        (Some(at), Some(other)) => at.port() != 0 && share_port(at, other),
        _ => at.is_same_place(other),
    }
}

/// Whether the addresses have one port, and one includes the other.
pub(crate) fn share_port(at: SocketAddr, other: SocketAddr) -> bool {
    at.port() == other.port() && (is_same_interface(at, other) || includes(at, other) || includes(other, at))
}

fn is_same_interface(at: SocketAddr, other: SocketAddr) -> bool {
    let scope = |address: SocketAddr| match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    };
    at.ip().to_canonical() == other.ip().to_canonical() && scope(at) == scope(other)
}

/// Whether `all` stands for all addresses of a family, and `other` is one of that family.
fn includes(all: SocketAddr, other: SocketAddr) -> bool {
    let (all, other) = (all.ip().to_canonical(), other.ip().to_canonical());
    all.is_unspecified() && (all.is_ipv4() == other.is_ipv4() || all.is_ipv6() && ipv6_includes_ipv4())
}

/// Whether a listener on `[::]` takes the connections to IPv4 addresses, too.
fn ipv6_includes_ipv4() -> bool {
    let ipv6_only = std::fs::read("/proc/sys/net/ipv6/bindv6only");
    cfg!(target_os = "linux") && !ipv6_only.is_ok_and(|value| value.starts_with(b"1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On Linux, the system is asked, too.
    #[test]
    fn addresses_overlap_if_the_system_cannot_listen_on_both() {
        for (at, other, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "0.0.0.0", true),
            ("0.0.0.0", "[::1]", false),
            ("[::1]", "[::]", true),
            ("[::1]", "127.0.0.1", false),
            ("[::]", "127.0.0.1", ipv6_includes_ipv4()),
            ("0.0.0.0", "[::]", ipv6_includes_ipv4()),
            ("[::ffff:127.0.0.1]", "127.0.0.1", true),
            ("[::ffff:127.0.0.1]", "0.0.0.0", true),
        ] {
            let with_port = |ip: &str, port: u16| format!("{ip}:{port}").parse::<SocketAddr>().unwrap();
            assert_eq!(share_port(with_port(at, 1), with_port(other, 1)), expected, "{at} {other}");
            assert_eq!(share_port(with_port(other, 1), with_port(at, 1)), expected, "{other} {at}");
            assert!(!share_port(with_port(at, 1), with_port(other, 2)));
            #[cfg(target_os = "linux")]
            if let Ok(first) = std::net::TcpListener::bind(with_port(at, 0)) {
                let port = first.local_addr().unwrap().port();
                // Another program may have the port of an address that does not overlap.
                assert!(
                    !expected || std::net::TcpListener::bind(with_port(other, port)).is_err(),
                    "{at} {other}"
                );
            }
        }
    }
}
