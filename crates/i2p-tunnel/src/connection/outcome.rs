//! What happens after a request: relaying, or a refusal.

use std::{io, sync::Arc};

use tokio::time::timeout;

use super::{handshake::PendingRequest, service::Service};
use crate::{
    client::{Client, ClientAddress},
    failure::Failure,
    limits::Limit,
    listen::Purpose,
    names::AddressLease,
    stream::{OpenStream, RelayStart, Socket, Stop},
};

/// Where a client has come from and which listener it has connected to.
pub(crate) struct Arrival {
    pub(crate) address: ClientAddress,
    pub(crate) listener: Arc<str>,
    pub(crate) purpose: Purpose,
    pub(crate) stop: Stop,
}

/// What remains to be done for a client.
pub(crate) enum NextStep {
    /// Relay a stream.
    Relay(ActiveStream),
    /// Close the connection gently; everything was sent.
    Close(Socket),
    /// Nothing.
    Done,
}

/// A stream that is open on both sides.
pub(crate) struct ActiveStream {
    pub(crate) client: Socket,
    pub(crate) peer: OpenStream,
    /// Data that the client sent before the reply, and what filters the stream.
    pub(crate) start: RelayStart,
    /// Keeps the virtual address that the client asked for from expiring.
    pub(crate) address: Option<AddressLease>,
}

/// Replies with a failure, and counts it.
pub(crate) async fn refuse<D>(
    request: PendingRequest,
    failure: Failure,
    service: &Service<D>,
) -> io::Result<NextStep> {
    service.account.failed(request.protocol(), failure);
    Ok(match request.refuse(failure, &service.access).await? {
        Some(client) => NextStep::Close(client),
        None => NextStep::Done,
    })
}

/// Runs `work` for a client within the dial timeout, and until the proxy stops. Returns `None` if the client goes meanwhile: it would
/// keep others out of its place until the far end answers.
pub(crate) async fn with_dial_timeout<T, D>(
    work: impl Future<Output = Result<T, Failure>>,
    stream: &Socket,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> Option<Result<T, Failure>> {
    tokio::select! {
        done = timeout(service.limits.dial, work) => Some(done.unwrap_or_else(|_| {
            service.account.limit(Limit::Dial);
            Err(Failure::TimedOut)
        })),
        () = Box::pin(stop.until_refusing()) => Some(Err(Failure::Stopping)),
        () = Box::pin(stream.until_gone()) => {
            tracing::debug!("the client left before it got an answer");
            service.account.abandoned(client.protocol);
            None
        }
    }
}
