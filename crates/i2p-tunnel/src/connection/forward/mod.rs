//! Plain HTTP: requests in absolute form (RFC 9112 section 3.2.2), which are forwarded to the host that they name.
//!
//! hyper speaks HTTP on both sides. Between the client and hyper, [`CheckedStream`] passes on only what is well-formed and
//! unambiguous. Each request of a connection is checked, routed, isolated and dialled by itself.

mod answer;
mod asking_page;
mod body;
mod checked_stream;
mod exchange;
mod fields;
mod form;
mod helper;
mod interim;
mod own_site;
mod page;
mod shared;
mod token;
mod visit;

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "fuzzing")]
pub use self::helper::check_address_helper;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::{body::ClientBody, checked_stream::CheckedStream, exchange::Forwarder, shared::Shared};
use super::{
    outcome::{ActiveStream, Arrival, NextStep},
    service::Service,
};
use crate::{
    client::{Admitted, ClientProtocol},
    dial::Dial,
    http_message,
    limits::Limit,
    stream::{RelayStart, Socket},
};

type Answer = Pin<Box<dyn Future<Output = Result<Response<ClientBody>, Infallible>> + Send>>;

/// Serves a client's requests until it closes, a request is refused, or it goes on with another protocol. `read` is what it has
/// sent already; its first head has to be complete at the deadline.
pub(crate) async fn serve<D: Dial>(
    client: Socket,
    (read, deadline): (Vec<u8>, Instant),
    arrival: Arrival,
    service: Arc<Service<D>>,
    admitted: Arc<Admitted>,
) -> io::Result<NextStep> {
    let Arrival { address, listener, stop, .. } = arrival;
    let client = Arc::new(client);
    let ended = CancellationToken::new();
    let shared = Arc::new(Shared::new(admitted, ended.clone()));
    let stream =
        CheckedStream::new(Arc::clone(&client), Arc::clone(&shared), &read, deadline, service.limits);
    let (account, limits) = (Arc::clone(&service.account), service.limits);
    let forwarder =
        Arc::new(Forwarder { service, address, listener, shared: Arc::clone(&shared), stop: stop.clone() });
    let answer = move |request: Request<Incoming>| -> Answer {
        let forwarder = Arc::clone(&forwarder);
        Box::pin(async move { Ok(forwarder.answer(request).await) })
    };
    let mut connection = http1::Builder::new()
        .half_close(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .max_headers(http_message::MAX_FIELDS)
        .max_buf_size(http_message::MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let served = {
        let mut gone = pin!(client.until_gone());
        let moved = || (!shared.is_unanswered()).then(|| (shared.activity(), client.untaken()));
        let mut idle = pin!(stop.until_idle(moved));
        let mut silent = pin!(until_silent(&shared, limits.idle));
        let mut draining = false;
        loop {
            tokio::select! {
                // First, so that a request that is refused next still counts as busy.
                biased;
                stopped = &mut idle => return Err(stopped),
                served = poll_fn(|context| connection.poll_without_shutdown(context)) => break served,
                () = &mut gone => {
                    if shared.is_unanswered() {
                        tracing::debug!("the client left before it got an answer");
                        account.abandoned(ClientProtocol::Http);
                    }
                    return Ok(NextStep::Done);
                }
                _ = stop.unless_draining(pending::<()>()), if !draining => {
                    draining = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                () = ended.cancelled() => {
                    tracing::debug!("a connection without a request ended, since its place was needed");
                    return Ok(NextStep::Done);
                }
                () = &mut silent => {
                    account.limit(Limit::Idle);
                    client.reset_on_close(true);
                    return Ok(NextStep::Done);
                }
            }
        }
    };
    let parts = connection.into_parts();
    let ahead = parts.io.into_inner().into_unread(&parts.read_buf);
    drop(parts.service);
    // Nobody else has it: hyper and the exchange are gone.
    let Ok(client) = Arc::try_unwrap(client) else { return Ok(NextStep::Done) };
    if let Some((peer, address)) = shared.take_upgraded() {
        if !shared.is_kept() {
            return Ok(NextStep::Done);
        }
        // The guard has seen the request. What follows on a WebSocket is masked by the client.
        let start = RelayStart { early_data: ahead, stage: None };
        return Ok(NextStep::Relay(ActiveStream { client, peer, start, address }));
    }
    if let Err(error) = served {
        // What has been sent must not look complete, for instance to a client that waits for the end of the connection.
        client.reset_on_close(true);
        tracing::debug!(%error, "an HTTP connection broke");
        return Ok(NextStep::Done);
    }
    Ok(NextStep::Close(client))
}

/// Returns once an answer has moved nothing for this long. Before its answer, a request has other limits.
async fn until_silent(shared: &Shared, limit: Option<Duration>) {
    let Some(limit) = limit else { return pending().await };
    loop {
        let before = shared.activity();
        sleep(limit).await;
        if shared.is_answering() && shared.activity() == before {
            return;
        }
    }
}
