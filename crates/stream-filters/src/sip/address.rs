//! Addresses in fields: which hosts are not told, and what takes their place.

use alloc::vec::Vec;
use core::{net::IpAddr, str::FromStr};

use crate::local_name::is_local;

/// The host that says nothing (RFC 3323 section 4.1.1.3).
pub(super) const NOBODY: &[u8] = b"anonymous.invalid";

/// Whether a host is an address, or known only in a network near this machine.
pub(super) fn tells(host: &[u8]) -> bool {
    let bare = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    let is_address = core::str::from_utf8(bare).is_ok_and(|text| IpAddr::from_str(text).is_ok());
    (is_address || is_local(host)) && host != NOBODY
}

/// A text with URIs of SIP, in which each host that tells something is replaced. With `always`, every host is.
pub(super) fn without_hosts(text: &[u8], always: bool) -> (Vec<u8>, bool) {
    let (mut written, mut rest, mut is_changed) = (Vec::with_capacity(text.len()), text, false);
    while let Some((before, uri)) = split_at_scheme(rest) {
        written.extend_from_slice(before);
        // The user comes before an at sign, and the host ends with its parameters or the bracket.
        let end = uri.iter().position(|byte| b">;?, \t\"".contains(byte)).unwrap_or(uri.len());
        let (address, after) = uri.split_at(end);
        let host_at = address.iter().rposition(|&byte| byte == b'@').map_or(0, |at| at + 1);
        let (user, host_and_port) = address.split_at(host_at);
        let host = host_of(host_and_port);
        written.extend_from_slice(user);
        if !host.is_empty() && (always || tells(host)) && host != NOBODY {
            written.extend_from_slice(NOBODY);
            is_changed = true;
        } else {
            written.extend_from_slice(host_and_port);
        }
        rest = after;
    }
    written.extend_from_slice(rest);
    (written, is_changed)
}

/// A host without its port.
pub(super) fn host_of(host_and_port: &[u8]) -> &[u8] {
    let end = match host_and_port.first() {
        Some(b'[') => host_and_port.iter().position(|&byte| byte == b']').map(|at| at + 1),
        _ => host_and_port.iter().position(|&byte| byte == b':'),
    };
    host_and_port.get(..end.unwrap_or(host_and_port.len())).unwrap_or_default()
}

/// What comes up to the colon of the next URI, and the rest.
fn split_at_scheme(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = (0..text.len()).find_map(|at| {
        let rest = text.get(at..)?;
        let length = [&b"sips:"[..], b"sip:"].into_iter().find(|scheme| {
            rest.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })?;
        let is_start = at == 0 || text.get(at - 1).is_some_and(|byte| !byte.is_ascii_alphanumeric());
        is_start.then_some(at + length.len())
    })?;
    Some(text.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_tell_something_are_replaced_in_every_uri() {
        for (text, expected) in [
            ("<sip:a@192.0.2.7:5060>", "<sip:a@anonymous.invalid>"),
            ("<SIP:a@[2001:db8::1]:5060;lr>", "<SIP:a@anonymous.invalid;lr>"),
            ("sip:laptop.lan, <sips:b@laptop>", "sip:anonymous.invalid, <sips:b@anonymous.invalid>"),
            ("\"a\" <sip:a@call.i2p>;tag=1", "\"a\" <sip:a@call.i2p>;tag=1"),
            ("gossip:192.0.2.7", "gossip:192.0.2.7"),
            ("<sip:a@anonymous.invalid>", "<sip:a@anonymous.invalid>"),
            ("sip:", "sip:"),
        ] {
            assert_eq!(String::from_utf8(without_hosts(text.as_bytes(), false).0).unwrap(), expected);
        }
        assert_eq!(without_hosts(b"<sip:a@call.i2p>", true).0, b"<sip:a@anonymous.invalid>");
    }

    extern crate std;
    use std::string::String;
}
