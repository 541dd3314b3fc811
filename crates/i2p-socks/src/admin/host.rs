use std::net::IpAddr;

use hyper::{header::HOST, http::uri::Authority};

use crate::control::routes::Asked;

/// Whether a request names this machine as its host. One that does not comes from a foreign page whose name was made to lead
/// here.
pub(super) fn is_ours(asked: &Asked) -> bool {
    let mut hosts = asked.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_this_machine),
        _ => false,
    }
}

fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for host in ["127.0.0.1", "127.0.0.1:4480", "localhost:4480", "LOCALHOST", "[::1]:4480", "127.1.2.3"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:4480",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.1:4480",
            "user@127.0.0.1",
            "0.0.0.0",
            "[::]",
            "127.0.0.1/",
            "a b",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
