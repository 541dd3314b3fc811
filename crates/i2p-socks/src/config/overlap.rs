//! Addresses on which one process cannot listen twice.

use std::net::SocketAddr;

use i2p_tunnel::ListenAt;

use super::{
    admin::AdminListen,
    problem::{Place, Problem},
};

/// The addresses of tunnels, each with its place in the file, that cannot be listened on together, or not together with the admin
/// endpoint.
pub(super) fn contradictions(listeners: &[(ListenAt, Place)], admin: &AdminListen) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, (at, place)) in listeners.iter().enumerate() {
        let earlier = listeners.iter().take(index);
        found.extend(earlier.filter(|(earlier, _)| overlap(at, earlier)).map(|(earlier, other)| {
            let (at, earlier) = (at.to_string(), earlier.to_string());
            let text = if at == earlier {
                format!("{at} is listed twice under listen: list each address once")
            } else {
                format!(
                    "{earlier} and {at} cannot both be under listen, because one includes the other: keep one of them, or choose \
                     another port"
                )
            };
            Problem::new(text, [*place, *other])
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
    let taken = admin.and_then(|admin| listeners.iter().find(|(at, _)| overlap(&admin, at)));
    found.extend(taken.map(|(at, place)| {
        let text = format!(
            "listen under [admin] overlaps with {at}, on which a tunnel listens: choose another address or port for one of them"
        );
        Problem::new(text, [Place::of("admin", "listen"), *place])
    }));
    found
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
