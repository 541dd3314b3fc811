//! The handshake with a client, in any protocol, up to its request.

use std::{io, net::SocketAddr, sync::OnceLock};

use socks_wire::{
    Authentication, Command, Error, NotSocks, Protocol,
    auth::Credentials,
    stream::{AcceptError, Accepted, OwnedAddress, accept_with_async_check},
};
use tokio::time::Instant;

use super::{
    http::{self, PendingConnect},
    tls,
};
use crate::{
    account::RefusedCredentials,
    client::{AccessPolicy, ClientAddress, ClientCredentials, ClientProtocol, Verdict},
    failure::Failure,
    limits::Limit,
    stream::Socket,
};

/// The request of a client that waits for the reply.
pub(crate) enum PendingRequest {
    Socks(Accepted<Socket>),
    Http(PendingConnect),
    Transparent(PendingTransparent),
}

/// A connection that leads elsewhere.
pub(crate) struct PendingTransparent {
    stream: Socket,
    address: OwnedAddress,
    port: u16,
}

impl PendingTransparent {
    pub(crate) fn new(stream: Socket, target: SocketAddr) -> Self {
        Self { stream, address: OwnedAddress::Ip(target.ip()), port: target.port() }
    }
}

impl PendingRequest {
    pub(crate) fn protocol(&self) -> ClientProtocol {
        match self {
            Self::Socks(accepted) => match accepted.request().protocol {
                Protocol::Socks4 => ClientProtocol::Socks4,
                Protocol::Socks4a => ClientProtocol::Socks4a,
                _ => ClientProtocol::Socks5,
            },
            Self::Http(_) => ClientProtocol::HttpConnect,
            Self::Transparent(_) => ClientProtocol::Transparent,
        }
    }

    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Socks(accepted) => accepted.request().command,
            Self::Http(_) | Self::Transparent(_) => Command::CONNECT,
        }
    }

    pub(crate) fn address(&self) -> &OwnedAddress {
        match self {
            Self::Socks(accepted) => &accepted.request().address,
            Self::Http(connecting) => &connecting.address,
            Self::Transparent(connecting) => &connecting.address,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Socks(accepted) => accepted.request().port,
            Self::Http(connecting) => connecting.port,
            Self::Transparent(connecting) => connecting.port,
        }
    }

    pub(crate) fn credentials(&self) -> ClientCredentials {
        match self {
            Self::Socks(accepted) => ClientCredentials::of(accepted.request()),
            Self::Http(connecting) => connecting.credentials.clone(),
            Self::Transparent(_) => ClientCredentials::None,
        }
    }

    /// The client's connection.
    pub(crate) fn stream(&self) -> &Socket {
        match self {
            Self::Socks(accepted) => accepted.stream(),
            Self::Http(connecting) => &connecting.stream,
            Self::Transparent(connecting) => &connecting.stream,
        }
    }

    /// Replies that the stream is open. Returns the connection, and data that the client has sent already.
    pub(crate) async fn grant(self) -> io::Result<(Socket, Vec<u8>)> {
        match self {
            Self::Socks(accepted) => accepted.grant().await,
            Self::Http(connecting) => connecting.grant().await,
            // Its kernel has connected it long ago.
            Self::Transparent(connecting) => Ok((connecting.stream, Vec::new())),
        }
    }

    /// Replies with a failure, in the client's protocol. Returns the connection, which is to be closed; `None` if it is.
    pub(crate) async fn refuse(self, failure: Failure, access: &AccessPolicy) -> io::Result<Option<Socket>> {
        let row = failure.row();
        match self {
            Self::Socks(accepted) => {
                let socks5 = if access.extended_errors { row.extended } else { row.socks5 };
                accepted.refuse(socks5, row.socks4).await.map(Some)
            }
            Self::Http(connecting) => connecting.refuse(failure).await.map(Some),
            // A reset is all that can be said.
            Self::Transparent(connecting) => {
                connecting.stream.reset_on_close(true);
                Ok(None)
            }
        }
    }
}

/// The outcome of a handshake.
pub(crate) enum HandshakeOutcome {
    /// The client made a request.
    Request(PendingRequest),
    /// The client has begun with an HTTP request that names a URL. This is what was read of it.
    ForwardHttp(Socket, Vec<u8>),
    /// The client was refused and told so. Its connection is to be closed gently.
    Rejected(Socket),
    /// The client gave no valid credentials and was told so. Its connection is to be closed gently.
    Unauthorized(Socket, RefusedCredentials),
    /// The client got an HTTP answer instead of a stream. Its connection is to be closed gently.
    AnsweredHttp(Socket),
    /// The client spoke TLS and was told so. Its connection is to be closed gently.
    AnsweredTls(Socket),
    /// The client spoke another protocol, and is told nothing.
    NotSocks,
    /// A limit was reached.
    LimitReached(Limit),
}

/// What a client is asked for.
pub(crate) struct Terms<'a> {
    /// The clients that are accepted.
    pub(crate) access: &'a AccessPolicy,
    /// The methods that SOCKS5 clients can choose from.
    pub(crate) methods: Authentication,
    /// Whether credentials over SOCKS5 are refused without a check. To accept them would tell the client that they are right.
    pub(crate) refuses_credentials: bool,
}

/// Performs the handshake, until the deadline.
pub(crate) async fn perform(
    client: Socket,
    address: ClientAddress,
    deadline: Instant,
    Terms { access, methods, refuses_credentials }: Terms<'_>,
) -> io::Result<HandshakeOutcome> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let verdict = OnceLock::new();
    let check = |credentials: &Credentials<'_>| {
        let checked = access.authentication.check(address, credentials);
        let verdict = &verdict;
        async move {
            let checked = if refuses_credentials { Verdict::Unchecked } else { checked.await };
            *verdict.get_or_init(|| checked) == Verdict::Right
        }
    };
    match accept_with_async_check(client, methods, limit, check).await {
        Ok(accepted) => Ok(HandshakeOutcome::Request(PendingRequest::Socks(accepted))),
        Err(AcceptError::Refused { stream, error }) => {
            tracing::debug!(%error, "the handshake failed");
            let refused = match error {
                Error::WrongCredentials => Some(match verdict.get() {
                    None => RefusedCredentials::Socks4,
                    Some(Verdict::Unchecked) => RefusedCredentials::Unchecked,
                    Some(_) => RefusedCredentials::Socks5Wrong,
                }),
                Error::NoAcceptableMethod => Some(RefusedCredentials::Socks5Missing),
                _ => None,
            };
            let users_only = refuses_credentials || !access.authentication.allows_anonymous();
            Ok(match refused {
                Some(how) if users_only => HandshakeOutcome::Unauthorized(stream, how),
                _ => HandshakeOutcome::Rejected(stream),
            })
        }
        Err(AcceptError::NotSocks { stream, protocol: NotSocks::Http, read }) => {
            // Boxed: this is large, and few clients need it.
            Ok(match Box::pin(http::read_request(stream, address, read, deadline, access)).await? {
                http::HttpOutcome::Connect(connecting) => {
                    HandshakeOutcome::Request(PendingRequest::Http(connecting))
                }
                http::HttpOutcome::Forward(stream, read) => HandshakeOutcome::ForwardHttp(stream, read),
                http::HttpOutcome::Answered(stream, why) => {
                    tracing::debug!("a client spoke {why}");
                    HandshakeOutcome::AnsweredHttp(stream)
                }
                http::HttpOutcome::Unauthorized(stream, how) => HandshakeOutcome::Unauthorized(stream, how),
                http::HttpOutcome::LimitReached(limit) => HandshakeOutcome::LimitReached(limit),
            })
        }
        Err(AcceptError::NotSocks { stream, protocol: NotSocks::Tls, .. }) => {
            tls::answer(stream).await.map(HandshakeOutcome::AnsweredTls)
        }
        Err(AcceptError::NotSocks { .. }) => {
            tracing::debug!("a client spoke neither SOCKS nor HTTP nor TLS");
            Ok(HandshakeOutcome::NotSocks)
        }
        Err(AcceptError::Timeout) => Ok(HandshakeOutcome::LimitReached(Limit::Handshake)),
        Err(AcceptError::Io(error)) => Err(error),
        // Errors of later versions of socks-wire. The client was promised nothing.
        Err(_) => Ok(HandshakeOutcome::NotSocks),
    }
}
