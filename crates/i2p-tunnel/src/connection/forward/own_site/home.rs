//! The first page: whether the proxy works.

use hyper::{Response, StatusCode};

use super::super::{body::ClientBody, visit::Visit};
use crate::dial::Dial;

/// Answers a request for the page.
pub(super) fn show<D: Dial>(visit: &Visit<'_, D>) -> Response<ClientBody> {
    let (what, hint) = match has_tunnels(visit) {
        Some(false) => (
            "the proxy works, and I2P tunnels for you are being built",
            "Sites can be opened in a moment, or in a minute or two if the router has just started.",
        ),
        Some(true) => ("the proxy works, and I2P tunnels for you are ready", "Open any .i2p site."),
        None => ("the proxy works", "Open any .i2p site."),
    };
    visit.page(StatusCode::OK, "Your program uses i2p-socks", what, hint)
}

/// Whether the client has tunnels; `None` if its sites have sessions of their own.
fn has_tunnels<D: Dial>(visit: &Visit<'_, D>) -> Option<bool> {
    let key = visit.service.sessions.client_key(visit.client)?;
    Some(visit.service.dialler.session_now(&key).is_some())
}
