//! Fields that are meant for the next hop only (RFC 9110 section 7.6.1).

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that end here even if Connection does not name them.
const HOP_BY_HOP: [HeaderName; 13] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    // Where the proxy's own is, so that a site can set neither.
    HeaderName::from_static("proxy-status"),
    HeaderName::from_static("proxy-support"),
    HeaderName::from_static("proxy-instruction"),
];

/// Removes the fields that end here, and those that Connection names.
pub(crate) fn remove_hop_by_hop(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(tokens)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        fields.remove(name);
    }
}

/// The protocol that a request or an answer asks to go on with, if Connection names Upgrade. HTTP/2 is left out: it would be
/// another proxy's business to look into it.
pub(crate) fn upgrade_token(fields: &HeaderMap) -> Option<HeaderValue> {
    let is_named = fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let mut values = fields.get_all(header::UPGRADE).iter();
    let value = values.next().filter(|_| is_named && values.next().is_none())?;
    let is_http = |token: &[u8]| token.to_ascii_lowercase().starts_with(b"h2") || token.contains(&b'/');
    (!tokens(value).any(is_http)).then(|| value.clone())
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_is_meant_for_the_next_hop_does_not_pass() {
        let mut all = fields(&[
            ("accept", "*/*"),
            ("connection", "close, X-Secret"),
            ("connection", "Other"),
            ("x-secret", "1"),
            ("other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "websocket"),
        ]);
        remove_hop_by_hop(&mut all);
        assert_eq!(all, fields(&[("accept", "*/*"), ("trailer", "x-sum")]));
    }

    #[test]
    fn an_upgrade_is_one_that_connection_names_and_not_http() {
        for (lines, token) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")][..], Some("websocket")),
            (&[("upgrade", "websocket")], None),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], None),
            (&[("connection", "upgrade"), ("upgrade", "websocket, H2C")], None),
            (&[("connection", "upgrade"), ("upgrade", "HTTP/2.0")], None),
            (&[("connection", "upgrade"), ("upgrade", "a"), ("upgrade", "b")], None),
            (&[("connection", "upgrade")], None),
        ] {
            assert_eq!(upgrade_token(&fields(lines)), token.map(HeaderValue::from_static), "{lines:?}");
        }
    }
}
