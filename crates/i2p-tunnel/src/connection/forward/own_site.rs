//! `http://proxy.i2p/`: the proxy itself. Requests for it never leave.

use hyper::{Method, Response, StatusCode};

use super::{
    answer::{self, Reader},
    body::ClientBody,
    html::Page,
};
use crate::http_message::RequestHead;

/// Address books must not contain this name, so nobody else can have it.
const HOST: &[u8] = b"proxy.i2p";

/// Whether a request is for the proxy itself.
pub(super) fn is_asked(head: &RequestHead) -> bool {
    head.host.strip_suffix(b".").unwrap_or(&head.host).eq_ignore_ascii_case(HOST)
}

/// Answers such a request. `ready`: whether there are tunnels for this client, if its requests have one session.
pub(super) fn answer(head: &RequestHead, reader: Reader, ready: Option<bool>) -> Response<ClientBody> {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let (status, title, what, hint) = match (reads, head.path.path(), ready) {
        (false, ..) => {
            (StatusCode::METHOD_NOT_ALLOWED, "Not possible here", "the proxy can only be asked", "Use GET.")
        }
        (_, "/", Some(false)) => (
            StatusCode::OK,
            "Your program uses i2p-socks",
            "the proxy works, and I2P tunnels for you are being built",
            "Sites can be opened in a moment, or in a minute or two if the router has just started.",
        ),
        (_, "/", Some(true)) => (
            StatusCode::OK,
            "Your program uses i2p-socks",
            "the proxy works, and I2P tunnels for you are ready",
            "Open any .i2p site.",
        ),
        (_, "/", None) => {
            (StatusCode::OK, "Your program uses i2p-socks", "the proxy works", "Open any .i2p site.")
        }
        _ => (
            StatusCode::NOT_FOUND,
            "There is no such page",
            "the proxy has no such page",
            "Open http://proxy.i2p/",
        ),
    };
    let code = format!("HTTP {}.", status.as_u16());
    let page = Page { title, what, hint, code: &code, reloads: false, services: &[] };
    answer::of_page(status, &page, reader)
}
