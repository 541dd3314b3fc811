//! The page that makes a browser send a request.

use hyper::header::{self, HeaderMap, HeaderName};
use socks_wire::stream::OwnedAddress;

/// The host of the page that a request is for, such as a request for a picture; `None` if the request is for a page itself, or the
/// browser does not say.
pub(super) fn host_of_page(fields: &HeaderMap) -> Option<OwnedAddress> {
    if is_for_page(fields) {
        return None;
    }
    // Origin is a part of Referer, and is sent where pages keep that back.
    let url = [header::ORIGIN, header::REFERER].into_iter().find_map(|name| {
        let url = fields.get(name)?.as_bytes();
        without_scheme(url)
    })?;
    let authority = url.split(|byte| matches!(byte, b'/' | b'?' | b'#')).next().unwrap_or_default();
    let authority = authority.rsplit(|&byte| byte == b'@').next().unwrap_or_default();
    let host = match authority.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !authority.ends_with(b"]") => authority.get(..colon).unwrap_or_default(),
        _ => authority,
    };
    (!host.is_empty()).then(|| OwnedAddress::Domain(host.to_vec()))
}

/// Browsers say so when a person goes to a page: by one of two fields that they send then only, or by what they accept.
fn is_for_page(fields: &HeaderMap) -> bool {
    let says =
        |name: &HeaderName, word: &[u8]| fields.get(name).is_some_and(|value| value.as_bytes() == word);
    fields.contains_key(header::UPGRADE_INSECURE_REQUESTS)
        || says(&HeaderName::from_static("sec-fetch-mode"), b"navigate")
        || fields.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn without_scheme(url: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (given, rest) = url.split_at_checked(scheme.len())?;
        given.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn host(lines: &[(&'static str, &'static str)]) -> Option<String> {
        let fields = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        match host_of_page(&fields.collect())? {
            OwnedAddress::Domain(host) => Some(String::from_utf8(host).unwrap()),
            OwnedAddress::Ip(_) => None,
        }
    }

    #[test]
    fn pictures_belong_to_their_page_and_pages_to_themselves() {
        let referer = ("referer", "http://page.i2p:81/a?b");
        for (fields, expected) in [
            (&[referer][..], Some("page.i2p")),
            (&[("origin", "http://other.i2p"), referer], Some("other.i2p")),
            (&[("origin", "null"), referer], Some("page.i2p")),
            (&[("referer", "HTTPS://[2001:db8::1]/")], Some("[2001:db8::1]")),
            (&[("referer", "http://user@page.i2p/")], Some("page.i2p")),
            (&[("referer", "/path")], None),
            (&[("referer", "http:///")], None),
            (&[], None),
            (&[referer, ("upgrade-insecure-requests", "1")], None),
            (&[referer, ("sec-fetch-mode", "navigate")], None),
            (&[referer, ("accept", "text/html,*/*")], None),
            (&[referer, ("accept", "image/png,*/*"), ("sec-fetch-mode", "no-cors")], Some("page.i2p")),
        ] {
            assert_eq!(host(fields).as_deref(), expected, "{fields:?}");
        }
    }
}
