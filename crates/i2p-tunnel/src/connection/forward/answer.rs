//! The proxy's own answers: pages for people, a few lines of text for programs. Only links to jump services repeat what the client
//! asked for.

use hyper::{
    Method, Response, StatusCode,
    ext::ReasonPhrase,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    body::ClientBody,
    page::{Block, Page, content_security_policy},
};
use crate::{connection::http, failure::Failure, http_message::Refusal};

/// After how long a page loads itself again.
const RELOAD_AFTER_SECONDS: &str = "5";

/// Why a request is not answered by a site.
pub(super) enum Trouble {
    /// It failed.
    Failed(Failure),
    /// It is not passed on.
    Refused(Refusal),
    /// The client must send credentials, or others, or the same again later.
    Unauthorized(http::Refusal),
}

/// Who reads an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Person,
    Program,
}

impl Reader {
    /// Browsers ask for HTML. Programs would take a page for what they asked for.
    pub(super) fn of(fields: &HeaderMap) -> Self {
        let accepts = |value: &HeaderValue| {
            value.as_bytes().windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"))
        };
        if fields.get_all(header::ACCEPT).iter().any(accepts) { Self::Person } else { Self::Program }
    }
}

impl Trouble {
    /// The answer to a request with this method, with what else its page shows.
    pub(super) fn answer(&self, reader: Reader, method: &Method, more: &[Block]) -> Response<ClientBody> {
        let (status, what, hint) = match self {
            Self::Failed(failure) => {
                let row = failure.row();
                (row.http, row.log, failure.client_hint())
            }
            Self::Refused(refusal) => refusal.row(),
            Self::Unauthorized(refusal) => {
                let (what, hint) = refusal.explanation();
                (if *refusal == http::Refusal::Unchecked { 429 } else { 407 }, what, hint)
            }
        };
        // A browser would load the page without what it has sent.
        let is_lost = self.passes_by_itself() && !method.is_safe();
        let hint =
            if is_lost { "What you sent did not reach the site. Go back, and send it again." } else { hint };
        let code = self.code(status);
        let page = Page {
            title: self.title(),
            what,
            hint,
            code: &code,
            reloads: reader == Reader::Person && self.passes_by_itself() && !is_lost,
            more,
            forms: None,
        };
        let mut answer =
            of_page(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), &page, reader);
        // Many programs show nothing but the reason, and would take "Not Found" for the site's answer.
        if let Ok(reason) = ReasonPhrase::try_from(self.title().as_bytes()) {
            answer.extensions_mut().insert(reason);
        }
        let fields = answer.headers_mut();
        match self {
            Self::Refused(_) => {
                fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Self::Unauthorized(http::Refusal::Unchecked) => {
                fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Unauthorized(_) => {
                let challenge = HeaderValue::from_static("Basic realm=\"i2p-socks\", charset=\"UTF-8\"");
                fields.insert(header::PROXY_AUTHENTICATE, challenge);
            }
            Self::Failed(_) => {}
        }
        answer
    }

    /// The codes of `docs/replies.md`.
    fn code(&self, status: u16) -> String {
        match self {
            Self::Failed(failure) => {
                let row = failure.row();
                format!("HTTP {status}, SOCKS {:02X}/{:02X}, {}.", row.socks5.0, row.extended.0, row.label)
            }
            _ => format!("HTTP {status}."),
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Refused(_) => "The proxy refused this request",
            Self::Unauthorized(refusal) => refusal.title(),
            Self::Failed(failure) => failure.title(),
        }
    }

    /// Whether waiting is all that there is to do.
    fn passes_by_itself(&self) -> bool {
        matches!(self, Self::Failed(Failure::NoTunnels | Failure::RouterUnavailable))
    }

    pub(super) fn is_unknown_name(&self) -> bool {
        matches!(self, Self::Failed(Failure::NameUnknown))
    }
}

/// An answer with this page, or with what it says as text.
pub(super) fn of_page(status: StatusCode, page: &Page<'_>, reader: Reader) -> Response<ClientBody> {
    let (kind, text) = match reader {
        Reader::Person => ("text/html; charset=utf-8", page.html()),
        Reader::Program => ("text/plain; charset=utf-8", page.text()),
    };
    let mut answer = Response::new(ClientBody::text(text));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // A browser names the origin of a form only with this policy.
        (header::REFERRER_POLICY, if page.forms.is_some() { "same-origin" } else { "no-referrer" }),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(content_security_policy(page.forms)) {
        fields.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if page.reloads {
        fields.insert(header::REFRESH, HeaderValue::from_static(RELOAD_AFTER_SECONDS));
    }
    answer
}

/// An answer that sends the client on to another URL, by GET.
pub(super) fn redirect(status: StatusCode, url: &str) -> Response<ClientBody> {
    let mut answer = Response::new(ClientBody::empty());
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    if let Ok(url) = HeaderValue::from_str(url) {
        fields.insert(header::LOCATION, url);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every failure and every refusal, to both readers.
    #[test]
    fn every_answer_has_its_status_and_says_what_to_do() {
        let failures = Failure::ALL.into_iter().map(Trouble::Failed);
        let refusals = Refusal::ALL.into_iter().map(Trouble::Refused);
        let all = failures
            .chain(refusals)
            .chain([http::Refusal::Wrong, http::Refusal::Unchecked].map(Trouble::Unauthorized));
        for trouble in all {
            for reader in [Reader::Person, Reader::Program] {
                let answer = trouble.answer(reader, &Method::GET, &[]);
                assert!(answer.status().is_client_error() || answer.status().is_server_error());
                assert!(answer.status().canonical_reason().is_some(), "{}", answer.status());
                let reason = answer.extensions().get::<ReasonPhrase>().unwrap();
                assert_eq!(reason.as_bytes(), trouble.title().as_bytes());
                let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
                assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
                let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
                assert_eq!(kind.starts_with("text/html"), reader == Reader::Person, "{kind}");
                let refresh = answer.headers().contains_key(header::REFRESH);
                assert_eq!(refresh, reader == Reader::Person && trouble.passes_by_itself());
                let sent = trouble.answer(reader, &Method::POST, &[]);
                assert!(!sent.headers().contains_key(header::REFRESH), "it would be loaded by GET");
            }
        }
    }

    #[test]
    fn people_are_those_who_accept_html() {
        for (accept, reader) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", Reader::Person),
            ("*/*", Reader::Program),
            ("application/json, text/plain", Reader::Program),
            ("image/avif,image/webp,*/*", Reader::Program),
        ] {
            let fields = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Reader::of(&fields), reader, "{accept}");
        }
        assert_eq!(Reader::of(&HeaderMap::new()), Reader::Program);
    }
}
