//! Forms that are sent to the proxy's own pages.

use std::{future::poll_fn, pin::Pin, time::Duration};

use hyper::{
    body::{Body, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::timeout;

/// The longest form. A destination has at most 3,868 characters, which each may be escaped.
const MAX_BYTES: usize = 32 * 1024;

/// Why a form is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadForm {
    /// A page of another site has sent it, or the browser does not say which one has.
    FromElsewhere,
    /// It is not a form, too long, or too slow.
    Malformed,
}

/// Reads a form that a page of `origin` has sent.
pub(super) async fn read(
    fields: &HeaderMap,
    body: Incoming,
    origin: &str,
    limit: Duration,
) -> Result<String, BadForm> {
    check(fields, origin)?;
    let read = timeout(limit, read_all(body)).await;
    let bytes = read.ok().flatten().ok_or(BadForm::Malformed)?;
    String::from_utf8(bytes).map_err(|_| BadForm::Malformed)
}

/// Checks where a form comes from, as far as the browser says. What it does not say, the token of the form has to prove.
fn check(fields: &HeaderMap, origin: &str) -> Result<(), BadForm> {
    let all = |name: HeaderName, allows: &dyn Fn(&[u8]) -> bool| {
        fields.get_all(name).iter().all(|value| allows(value.as_bytes()))
    };
    let from_here = all(header::ORIGIN, &|value| value.eq_ignore_ascii_case(origin.as_bytes()))
        && all(HeaderName::from_static("sec-fetch-site"), &|value| value == b"same-origin")
        && all(header::REFERER, &|value| {
            let rest = value.split_at_checked(origin.len());
            rest.is_some_and(|(of, path)| {
                of.eq_ignore_ascii_case(origin.as_bytes()) && matches!(path.first(), None | Some(b'/'))
            })
        });
    if !from_here {
        return Err(BadForm::FromElsewhere);
    }
    let kind = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    match kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        true => Ok(()),
        false => Err(BadForm::Malformed),
    }
}

/// Reads a body, unless it is too long or breaks off.
async fn read_all(mut body: Incoming) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > MAX_BYTES {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

    fn checked(lines: &[(&'static str, &'static str)]) -> Result<(), BadForm> {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        check(&fields, "http://proxy.i2p")
    }

    #[test]
    fn a_form_comes_from_here_if_the_browser_says_where_from() {
        let origin = ("origin", "http://proxy.i2p");
        for fields in [
            &[FORM][..],
            &[FORM, origin],
            &[FORM, origin, ("referer", "http://proxy.i2p/address?url=x"), ("sec-fetch-site", "same-origin")],
        ] {
            assert_eq!(checked(fields), Ok(()), "{fields:?}");
        }
        for field in [
            ("origin", "null"),
            ("origin", "http://site.i2p"),
            ("origin", "https://proxy.i2p"),
            ("origin", "http://proxy.i2p:81"),
            ("origin", "http://proxy.i2p.evil.i2p"),
            ("referer", "http://proxy.i2p.evil.i2p/"),
            ("referer", "http://site.i2p/"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(checked(&[FORM, field]), Err(BadForm::FromElsewhere), "{field:?}");
            assert_eq!(checked(&[FORM, origin, field]), Err(BadForm::FromElsewhere), "{field:?}");
        }
        for kind in ["text/plain", "multipart/form-data", "application/json", ""] {
            assert_eq!(checked(&[origin, ("content-type", kind)]), Err(BadForm::Malformed), "{kind}");
        }
        assert_eq!(checked(&[origin]), Err(BadForm::Malformed));
    }
}
