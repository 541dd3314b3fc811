//! What a client wants, in whichever protocol it says so.

use std::io;

use socks_wire::{
    Command, Error, NotSocks, Protocol,
    auth::Credentials,
    stream::{AcceptError, Accepted, OwnedAddress, accept_with_async_check},
};
use tokio::time::Instant;

use super::http::{self, Connecting};
use crate::{
    client::{AccessPolicy, ClientAddress, ClientCredentials, ClientProtocol},
    failure::Failure,
    limits::Limit,
    stream::Socket,
};

/// A client that waits for an answer to what it asked for.
pub(crate) enum Waiting {
    Socks(Accepted<Socket>),
    Http(Connecting),
}

impl Waiting {
    pub(crate) fn protocol(&self) -> ClientProtocol {
        match self {
            Self::Socks(accepted) => match accepted.request().protocol {
                Protocol::Socks4 => ClientProtocol::Socks4,
                Protocol::Socks4a => ClientProtocol::Socks4a,
                _ => ClientProtocol::Socks5,
            },
            Self::Http(_) => ClientProtocol::HttpConnect,
        }
    }

    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Socks(accepted) => accepted.request().command,
            Self::Http(_) => Command::CONNECT,
        }
    }

    pub(crate) fn address(&self) -> &OwnedAddress {
        match self {
            Self::Socks(accepted) => &accepted.request().address,
            Self::Http(connecting) => &connecting.address,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Socks(accepted) => accepted.request().port,
            Self::Http(connecting) => connecting.port,
        }
    }

    pub(crate) fn credentials(&self) -> ClientCredentials {
        match self {
            Self::Socks(accepted) => ClientCredentials::of(accepted.request()),
            Self::Http(connecting) => connecting.credentials.clone(),
        }
    }

    /// Where the client waits.
    pub(crate) fn stream(&self) -> &Socket {
        match self {
            Self::Socks(accepted) => accepted.stream(),
            Self::Http(connecting) => &connecting.stream,
        }
    }

    /// Says that what was asked for is connected. Gives the stream, and what the client sent ahead, which is for the target.
    pub(crate) async fn grant(self) -> io::Result<(Socket, Vec<u8>)> {
        match self {
            Self::Socks(accepted) => accepted.grant().await,
            Self::Http(connecting) => connecting.grant().await,
        }
    }

    /// Says why not, in the client's protocol. Gives the stream, which is to be closed.
    pub(crate) async fn refuse(self, failure: Failure, access: &AccessPolicy) -> io::Result<Socket> {
        let row = failure.row();
        match self {
            Self::Socks(accepted) => {
                let socks5 = if access.extended_errors { row.extended } else { row.socks5 };
                accepted.refuse(socks5, row.socks4).await
            }
            Self::Http(connecting) => connecting.refuse(failure).await,
        }
    }
}

/// What came of a handshake.
pub(crate) enum Heard {
    /// A request.
    Request(Waiting),
    /// None, and the client was told so: the stream is to be closed gently.
    Told(Socket),
    /// None, since it is no user of the tunnel, and it was told so: the same.
    Stranger(Socket),
    /// None, and it spoke HTTP and was answered in it: the same.
    Answered(Socket),
    /// None, and nothing to tell.
    Nothing,
    /// A limit was reached.
    Cut(Limit),
}

/// Hears a client out until the deadline.
pub(crate) async fn hear(
    client: Socket,
    address: ClientAddress,
    deadline: Instant,
    access: &AccessPolicy,
) -> io::Result<Heard> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let check = |credentials: &Credentials<'_>| access.authentication.allows(address, credentials);
    match accept_with_async_check(client, access.authentication.negotiation(), limit, check).await {
        Ok(accepted) => Ok(Heard::Request(Waiting::Socks(accepted))),
        Err(AcceptError::Refused { stream, error }) => {
            tracing::debug!(%error, "the handshake failed");
            let unknown = matches!(error, Error::WrongCredentials | Error::NoAcceptableMethod);
            let users_only = !access.authentication.allows_anonymous();
            Ok(if unknown && users_only { Heard::Stranger(stream) } else { Heard::Told(stream) })
        }
        Err(AcceptError::NotSocks { stream, protocol: NotSocks::Http, read }) => {
            // Large, and not for everybody.
            Ok(match Box::pin(http::hear(stream, address, read, deadline, access)).await? {
                http::Heard::Connect(connecting) => Heard::Request(Waiting::Http(connecting)),
                http::Heard::Answered(stream, why) => {
                    tracing::debug!("a client spoke {why}");
                    Heard::Answered(stream)
                }
                http::Heard::Stranger(stream) => Heard::Stranger(stream),
                http::Heard::Cut(limit) => Heard::Cut(limit),
            })
        }
        Err(AcceptError::NotSocks { .. }) => {
            tracing::debug!("a client spoke neither SOCKS nor HTTP");
            Ok(Heard::Nothing)
        }
        Err(AcceptError::Timeout) => Ok(Heard::Cut(Limit::Handshake)),
        Err(AcceptError::Io(error)) => Err(error),
        // Kinds of a later version: nothing was promised to the client.
        Err(_) => Ok(Heard::Nothing),
    }
}
