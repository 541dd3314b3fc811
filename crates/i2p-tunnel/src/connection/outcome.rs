//! What is left to do for a client, and how a request is refused.

use std::{io, sync::Arc};

use tokio::time::timeout;

use super::{handshake::Waiting, service::Service};
use crate::{
    client::{Client, ClientAddress},
    failure::Failure,
    limits::Limit,
    names::AddressLease,
    stream::{Opened, Socket, Stop},
};

/// Where a client came from and where to.
pub(crate) struct WayIn {
    pub(crate) address: ClientAddress,
    pub(crate) listener: Arc<str>,
    pub(crate) stop: Stop,
}

/// What is left to do for a client.
pub(crate) enum Next {
    /// It has a stream.
    Relay(Streaming),
    /// All is said: the connection is to be closed gently.
    Close(Socket),
    /// Nothing.
    Over,
}

/// A stream that is open on both sides.
pub(crate) struct Streaming {
    pub(crate) client: Socket,
    pub(crate) peer: Opened,
    /// What the client sent ahead, for the peer.
    pub(crate) early_data: Vec<u8>,
    /// The virtual address that it was asked for by keeps its meaning.
    pub(crate) address: Option<AddressLease>,
}

/// Says why not.
pub(crate) async fn refuse<D>(waiting: Waiting, failure: Failure, service: &Service<D>) -> io::Result<Next> {
    tracing::debug!("a request failed: {}", failure.row().log);
    service.account.failed(waiting.protocol(), failure);
    waiting.refuse(failure, &service.access).await.map(Next::Close)
}

/// Does what a client waits for, in the time that there is for it. Nothing comes of it when the client is lost meanwhile: it
/// would keep its place, and others out, until the far end answers.
pub(crate) async fn within<T, D>(
    work: impl Future<Output = Result<T, Failure>>,
    stream: &Socket,
    client: &Client,
    service: &Service<D>,
) -> Option<Result<T, Failure>> {
    tokio::select! {
        done = timeout(service.limits.dial, work) => Some(done.unwrap_or_else(|_| {
            service.account.limit(Limit::Dial);
            Err(Failure::TimedOut)
        })),
        () = stream.lost() => {
            tracing::debug!("the client has gone before it was answered");
            service.account.abandoned(client.protocol);
            None
        }
    }
}
