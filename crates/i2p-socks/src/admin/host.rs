//! The `Host` field of requests.

use std::net::IpAddr;

use hyper::{header::HOST, http::uri::Authority};

use crate::control::routes::HttpRequest;

/// Whether a request names this machine as its host. A request that does not may come from a foreign website whose DNS name was
/// pointed here (DNS rebinding).
pub(super) fn names_this_machine(request: &HttpRequest) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
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
    fn only_names_of_this_machine_are_accepted() {
        for host in ["127.0.0.1", "127.0.0.1:4480", "localhost:4480", "LOCALHOST", "[::1]:4480", "127.1.2.3"]
        {
            assert!(is_loopback(host), "{host}");
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
            assert!(!is_loopback(host), "{host}");
        }
    }
}
