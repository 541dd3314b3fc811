//! The paths of the admin endpoint: status page, metrics, health checks and `proxy.pac`. The control socket has them, too.

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Response, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
        VARY,
    },
};
use i2p_tunnel::metrics::Format;

use super::{host, page};
use crate::{
    control::routes::{HttpRequest, HttpResponse, Routes},
    json,
    pac::NO_TUNNEL,
    status::{board::Board, report::StatusReport},
};

/// The style sheet. It is a file of its own, so that the content security policy can forbid styles inside pages.
const STYLE: &str = include_str!("style.css");

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const PAC: &str = "application/x-ns-proxy-autoconfig";

/// Who can send requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitors {
    /// Programs that can connect to a Unix socket. No browser can.
    OfUnixSocket,
    /// Programs on this machine, including browsers that show foreign websites.
    OfLoopback,
}

/// A path and its answer.
type Page = (&'static str, fn(&Board, &HeaderMap) -> HttpResponse);

/// Adds the paths of the admin endpoint to `routes`.
#[must_use]
pub(crate) fn pages(routes: Routes, board: &Board, visitors: Visitors) -> Routes {
    let page = |routes: Routes, (path, answer): Page| {
        let board = board.clone();
        routes.on(Method::GET, path, move |request: HttpRequest| {
            let board = board.clone();
            async move {
                if visitors != Visitors::OfUnixSocket && !host::names_this_machine(&request) {
                    return misdirected();
                }
                // The other paths must answer even while the router hangs, /live above all.
                if matches!(request.uri().path(), "/" | "/metrics" | "/ready" | "/status.json") {
                    board.check_router().await;
                }
                answer(&board, request.headers())
            }
        })
    };
    let pages: [Page; 7] = [
        ("/", |board, _| response(StatusCode::OK, HTML, page::render(&board.report()))),
        ("/style.css", |_, _| response(StatusCode::OK, "text/css; charset=utf-8", STYLE.to_owned())),
        ("/metrics", metrics),
        ("/live", |_, _| response(StatusCode::OK, TEXT, "alive\n".to_owned())),
        ("/ready", ready),
        ("/status.json", |board, _| status(&board.report())),
        ("/proxy.pac", |board, _| match board.proxy_auto_config() {
            Some(file) => response(StatusCode::OK, PAC, file),
            None => response(StatusCode::NOT_FOUND, TEXT, format!("{NO_TUNNEL}\n")),
        }),
    ];
    pages.into_iter().fold(routes, page)
}

/// The metrics, in the format that the program asks for.
fn metrics(board: &Board, fields: &HeaderMap) -> HttpResponse {
    let accept: Vec<_> = fields.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let mut answer = response(StatusCode::OK, format.media_type(), board.encode_metrics(format));
    answer.headers_mut().insert(VARY, HeaderValue::from_name(ACCEPT));
    answer
}

/// 200 if new clients are served, otherwise 503.
fn ready(board: &Board, _: &HeaderMap) -> HttpResponse {
    let status = if board.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response(status, TEXT, board.summary() + "\n")
}

fn status(report: &StatusReport) -> HttpResponse {
    match json::pretty(report) {
        Ok(text) => response(StatusCode::OK, "application/json", text),
        Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// The answer to a foreign website (DNS rebinding): RFC 9110 section 15.5.20.
fn misdirected() -> HttpResponse {
    let text = "These pages are only served for the host names 127.0.0.1, [::1] and localhost.\n";
    response(StatusCode::MISDIRECTED_REQUEST, TEXT, text.to_owned())
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> HttpResponse {
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
