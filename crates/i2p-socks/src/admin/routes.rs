//! The pages on how the proxy does: for Prometheus, for programs that watch it, for people. On the control socket, and where
//! `[admin]` says.

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue},
};

use super::{host, page};
use crate::{
    control::routes::{Answer, Asked, Routes},
    pac::NO_TUNNEL,
    status::{board::Board, report::Report},
};

/// The status page's looks. A file of its own, so that the policy need allow no style inside of pages.
const STYLE: &str = include_str!("style.css");

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// What the encoder of the metrics writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PAC: &str = "application/x-ns-proxy-autoconfig";

/// Who can be asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitors {
    /// Whoever may use the socket: no browser.
    OfASocket,
    /// Programs of this machine, browsers with foreign pages in them among them.
    OfLoopback,
}

/// What is at a path.
type Page = (&'static str, fn(&Board) -> Answer);

/// Everything that the admin endpoint serves, added to these routes.
#[must_use]
pub(crate) fn pages(routes: Routes, board: &Board, visitors: Visitors) -> Routes {
    let page = |routes: Routes, (path, answer): Page| {
        let board = board.clone();
        routes.on(Method::GET, path, move |asked: Asked| {
            let board = board.clone();
            async move {
                if visitors != Visitors::OfASocket && !host::is_ours(&asked) {
                    return misdirected();
                }
                // A dead router must not hold up what is so without it: that this lives, above all.
                if matches!(asked.uri().path(), "/" | "/metrics" | "/ready" | "/status.json") {
                    board.look().await;
                }
                answer(&board)
            }
        })
    };
    let pages: [Page; 7] = [
        ("/", |board| whole(StatusCode::OK, HTML, page::render(&board.report()))),
        ("/style.css", |_| whole(StatusCode::OK, "text/css; charset=utf-8", STYLE.to_owned())),
        ("/metrics", |board| whole(StatusCode::OK, OPEN_METRICS, board.encode_metrics())),
        ("/live", |_| whole(StatusCode::OK, TEXT, "alive\n".to_owned())),
        ("/ready", ready),
        ("/status.json", |board| status(&board.report())),
        ("/proxy.pac", |board| match board.proxy_auto_config() {
            Some(file) => whole(StatusCode::OK, PAC, file),
            None => whole(StatusCode::NOT_FOUND, TEXT, format!("{NO_TUNNEL}\n")),
        }),
    ];
    pages.into_iter().fold(routes, page)
}

/// 200 when a client that comes now is served.
fn ready(board: &Board) -> Answer {
    let status = if board.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    whole(status, TEXT, board.line() + "\n")
}

fn status(report: &Report) -> Answer {
    match serde_json::to_string_pretty(report) {
        Ok(text) => whole(StatusCode::OK, "application/json", text + "\n"),
        Err(error) => whole(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// For a page of somebody else's whose name leads here (DNS rebinding): RFC 9110 section 15.5.20.
fn misdirected() -> Answer {
    let text = "The pages are served for the host names 127.0.0.1, [::1] and localhost alone.\n";
    whole(StatusCode::MISDIRECTED_REQUEST, TEXT, text.to_owned())
}

fn whole(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
