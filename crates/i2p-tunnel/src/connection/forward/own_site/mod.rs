//! `http://proxy.i2p/`: the proxy itself. Requests for it never leave.
//!
//! No page in I2P can have an effect here: each form carries a token that only the proxy's own pages contain, no page of another
//! origin can read those, and none can show them in a frame.

mod book;
mod home;
mod identity;
mod sent_form;

use hyper::{Method, Request, Response, body::Incoming};

use self::sent_form::BadForm;
use super::{body::ClientBody, helper, visit::Visit};
use crate::{dial::Dial, http_message::RequestHead, names};

/// Whether a request is for the proxy itself.
pub(super) fn is_asked(head: &RequestHead) -> bool {
    names::is_own_host(&head.host)
}

/// Answers a request for the proxy itself.
pub(super) async fn answer<D: Dial>(
    visit: &Visit<'_, D>,
    head: &RequestHead,
    request: Request<Incoming>,
) -> Response<ClientBody> {
    let query = head.path.query().unwrap_or_default();
    match (&head.method, head.path.path()) {
        (&Method::GET | &Method::HEAD, "/") => home::show(visit).await,
        (&Method::GET | &Method::HEAD, identity::PATH) => identity::show(visit, query),
        (&Method::GET | &Method::HEAD, book::PATH) => book::show(visit, query).await,
        (&Method::GET | &Method::HEAD, helper::PATH) => helper::show(visit, query).await,
        (&Method::POST, path @ (helper::PATH | identity::PATH)) => {
            match read_form(visit, head, request).await {
                Ok(form) => take_form(visit, path, &form).await,
                Err(BadForm::FromElsewhere) => visit.forgotten(),
                Err(BadForm::Malformed) => visit.malformed(),
            }
        }
        (_, "/" | helper::PATH | identity::PATH | book::PATH) => visit.wrong_method(),
        _ => visit.no_such_page(),
    }
}

async fn read_form<D>(
    visit: &Visit<'_, D>,
    head: &RequestHead,
    request: Request<Incoming>,
) -> Result<String, BadForm> {
    let origin = format!("http://{}", head.authority());
    let (parts, body) = request.into_parts();
    sent_form::read(&parts.headers, body, &origin, visit.service.limits.handshake).await
}

async fn take_form<D: Dial>(visit: &Visit<'_, D>, path: &str, form: &str) -> Response<ClientBody> {
    match path {
        helper::PATH => helper::choose(visit, form).await,
        identity::PATH => identity::act(visit, form).await,
        _ => visit.no_such_page(),
    }
}
