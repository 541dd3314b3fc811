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

/// The outcome of a handshake.
pub(crate) enum Handshake {
    /// A request.
    Request(Waiting),
    /// The client got a refusal. Its socket is to be closed gently.
    Rejected(Socket),
    /// The credentials belong to no user of the tunnel, and the client got a refusal. Its socket is to be closed gently.
    Unauthorized(Socket),
    /// The client spoke HTTP and got an HTTP answer. Its socket is to be closed gently.
    AnsweredHttp(Socket),
    /// The client sent nothing that a reply exists for.
    Nothing,
    /// A limit was reached.
    LimitReached(Limit),
}

/// Performs the handshake until the deadline.
pub(crate) async fn hear(
    client: Socket,
    address: ClientAddress,
    deadline: Instant,
    access: &AccessPolicy,
) -> io::Result<Handshake> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let check = |credentials: &Credentials<'_>| access.authentication.allows(address, credentials);
    match accept_with_async_check(client, access.authentication.negotiation(), limit, check).await {
        Ok(accepted) => Ok(Handshake::Request(Waiting::Socks(accepted))),
        Err(AcceptError::Refused { stream, error }) => {
            tracing::debug!(%error, "the handshake failed");
            let unknown = matches!(error, Error::WrongCredentials | Error::NoAcceptableMethod);
            let users_only = !access.authentication.allows_anonymous();
            Ok(if unknown && users_only {
                Handshake::Unauthorized(stream)
            } else {
                Handshake::Rejected(stream)
            })
        }
        Err(AcceptError::NotSocks { stream, protocol: NotSocks::Http, read }) => {
            // Large, and not for everybody.
            Ok(match Box::pin(http::hear(stream, address, read, deadline, access)).await? {
                http::HttpOutcome::Connect(connecting) => Handshake::Request(Waiting::Http(connecting)),
                http::HttpOutcome::Answered(stream, why) => {
                    tracing::debug!("a client spoke {why}");
                    Handshake::AnsweredHttp(stream)
                }
                http::HttpOutcome::Unauthorized(stream) => Handshake::Unauthorized(stream),
                http::HttpOutcome::LimitReached(limit) => Handshake::LimitReached(limit),
            })
        }
        Err(AcceptError::NotSocks { .. }) => {
            tracing::debug!("a client spoke neither SOCKS nor HTTP");
            Ok(Handshake::Nothing)
        }
        Err(AcceptError::Timeout) => Ok(Handshake::LimitReached(Limit::Handshake)),
        Err(AcceptError::Io(error)) => Err(error),
        // Kinds of a later version: nothing was promised to the client.
        Err(_) => Ok(Handshake::Nothing),
    }
}
