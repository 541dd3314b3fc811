//! The header fields of a request on its way to a site, and of the site's answer.

use hyper::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    http::uri::{PathAndQuery, Uri},
};
use i2p_name::{I2pName, Target};
use stream_filters::http::{Request, Verdict, Via, announce, answer_field};

use crate::{
    client::HeaderPolicy,
    http_message::{Framing, HTTP_PORT, RequestHead, remove_hop_by_hop, upgrade_token},
};

/// Makes the fields for a site from those of the client.
pub(super) fn for_site(
    head: &RequestHead,
    fields: &HeaderMap,
    target: &Target,
    policy: HeaderPolicy,
) -> HeaderMap {
    let upgrade = upgrade_token(fields).filter(|_| head.upgrades);
    let takes_trailers =
        fields.get_all(header::TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let mut fields = fields.clone();
    remove_hop_by_hop(&mut fields);
    fields.remove(header::HOST);
    let mut sent = HeaderMap::with_capacity(fields.len() + 5);
    let host = host_of(target, head.port);
    if let Some(host) = &host {
        sent.insert(header::HOST, host.clone());
    }
    match policy {
        HeaderPolicy::AsSent => sent.extend(fields),
        HeaderPolicy::Filtered => add_filtered(&mut sent, &fields, head, target, host.as_ref()),
    }
    if head.framing == Framing::Chunked {
        sent.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let connection = match upgrade {
        Some(protocol) => {
            sent.insert(header::UPGRADE, protocol);
            "Upgrade"
        }
        None if takes_trailers => {
            sent.insert(header::TE, HeaderValue::from_static("trailers"));
            "TE"
        }
        // The stream is kept for the next request.
        None if matches!(target, Target::I2p(_)) => return sent,
        None => "close",
    };
    sent.insert(header::CONNECTION, HeaderValue::from_static(connection));
    sent
}

/// The target of a request, without the addresses that BitTorrent clients send to trackers.
pub(super) fn target_for_site(target: &PathAndQuery, policy: HeaderPolicy) -> Uri {
    let filtered = announce(target.as_str()).filter(|_| policy == HeaderPolicy::Filtered);
    // A part of a target is a target.
    let filtered = filtered.and_then(|parts| parts.collect::<String>().parse().ok());
    filtered.unwrap_or_else(|| Uri::from(target.clone()))
}

/// Adds what the rules for header fields leave, in an order that does not depend on the client's program.
fn add_filtered(
    sent: &mut HeaderMap,
    fields: &HeaderMap,
    head: &RequestHead,
    target: &Target,
    host: Option<&HeaderValue>,
) {
    let via = if matches!(target, Target::I2p(_)) { Via::I2p } else { Via::Outproxy };
    let authority = head.authority();
    let request = Request { via, authority: &authority };
    sent.insert(header::USER_AGENT, HeaderValue::from_static(via.user_agent()));
    let mut names: Vec<_> = fields.keys().filter(|name| **name != header::USER_AGENT).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        for value in fields.get_all(name) {
            if let Some(value) = filtered(&request, name, value, host) {
                sent.append(name, value);
            }
        }
    }
}

/// The value that the rules give to a field; `None` if it is removed.
fn filtered(
    request: &Request<'_>,
    name: &HeaderName,
    value: &HeaderValue,
    host: Option<&HeaderValue>,
) -> Option<HeaderValue> {
    match request.field(name.as_str(), value.as_bytes()) {
        Verdict::Pass => Some(value.clone()),
        Verdict::Drop => None,
        Verdict::Replace(value) => HeaderValue::from_bytes(value).ok(),
        Verdict::OwnOrigin => HeaderValue::from_bytes(&[b"http://", host?.as_bytes()].concat()).ok(),
    }
}

/// Removes from the fields of an answer what ends at the proxy and what the rules remove.
pub(super) fn for_client(fields: &mut HeaderMap, policy: HeaderPolicy) {
    remove_hop_by_hop(fields);
    if policy == HeaderPolicy::Filtered {
        let removed: Vec<_> =
            fields.keys().filter(|name| answer_field(name.as_str()) == Verdict::Drop).cloned().collect();
        for name in removed {
            fields.remove(name);
        }
    }
}

/// Leaves one length of the body, if there is any. hyper accepts one that is repeated, as a list or in several fields, which another
/// client could read differently (RFC 9110 section 8.6). `None` if it is no number.
pub(super) fn with_one_length(fields: &mut HeaderMap) -> Option<()> {
    let Some(value) = fields.get(header::CONTENT_LENGTH) else { return Some(()) };
    let first = value.as_bytes().split(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let length = HeaderValue::from_bytes(first).ok().filter(|_| is_number)?;
    fields.insert(header::CONTENT_LENGTH, length);
    Some(())
}

/// The host as the site knows it: its name, whatever virtual address or spelling the client used.
fn host_of(target: &Target, port: u16) -> Option<HeaderValue> {
    let host = match target {
        // A site does not know itself by a text of 500 characters.
        Target::I2p(I2pName::Destination(destination)) => destination.b32().to_string(),
        Target::I2p(name) => name.to_string(),
        Target::ClearNet(host) => host.as_str().to_owned(),
        Target::Ip(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Target::Ip(address) => address.to_string(),
        _ => return None,
    };
    let host = if port == HTTP_PORT { host } else { format!("{host}:{port}") };
    HeaderValue::try_from(host).ok()
}

/// What is left of Max-Forwards (RFC 9110 section 7.6.2): `Some(0)` if the request is not to go any further.
pub(super) fn max_forwards(method: &Method, fields: &mut HeaderMap) -> Option<u32> {
    if method != Method::OPTIONS {
        return None;
    }
    let left: u32 = fields.get(header::MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    fields.insert(header::MAX_FORWARDS, left.saturating_sub(1).into());
    Some(left)
}
