//! Clients that speak HTTP. CONNECT (RFC 9110 section 9.3.6) is served here, and requests that name a URL in `forward`. Any other
//! request is answered with a page.

mod answer;
mod head;
mod page;

use std::io;

use socks_wire::{auth::Credentials, stream::OwnedAddress};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use self::head::Head;
pub(crate) use self::head::ProxyCredentials;
#[cfg(feature = "fuzzing")]
pub use self::head::check_http_head;
use crate::{
    account::RefusedCredentials,
    client::{AccessPolicy, ClientAddress, ClientCredentials, Verdict},
    failure::Failure,
    limits::Limit,
    stream::Socket,
};

/// The longest head of a request. No more is read before it is answered. A destination in base64 fits in twice: as the target and
/// as the `Host`.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// A CONNECT request that waits for its answer.
pub(crate) struct PendingConnect {
    pub(crate) stream: Socket,
    pub(crate) address: OwnedAddress,
    pub(crate) port: u16,
    pub(crate) credentials: ClientCredentials,
    /// Data behind the head, for the target.
    early_data: Vec<u8>,
}

impl PendingConnect {
    /// Answers that the stream is open. Returns the connection, and data that the client has sent already.
    pub(crate) async fn grant(mut self) -> io::Result<(Socket, Vec<u8>)> {
        self.stream.write_all(answer::CONNECTED).await?;
        Ok((self.stream, self.early_data))
    }

    /// Answers with a failure. Returns the connection, which is to be closed.
    pub(crate) async fn refuse(self, failure: Failure) -> io::Result<Socket> {
        refuse(self.stream, failure).await
    }
}

/// Answers a request that is not served. Returns the connection, which is to be closed.
pub(super) async fn refuse(mut stream: Socket, failure: Failure) -> io::Result<Socket> {
    stream.write_all(answer::failed(failure).as_bytes()).await?;
    Ok(stream)
}

/// The outcome of a request.
pub(crate) enum HttpOutcome {
    /// A CONNECT.
    Connect(PendingConnect),
    /// The beginning of a request that names a URL, and what was read of it.
    Forward(Socket, Vec<u8>),
    /// The request was answered, and the connection is to be closed. The text is for the log.
    Answered(Socket, &'static str),
    /// The credentials were refused and the client was told so. The connection is to be closed.
    Unauthorized(Socket, RefusedCredentials),
    /// A limit was reached.
    LimitReached(Limit),
}

/// Reads the rest of a request's head until the deadline, and authenticates the client.
pub(crate) async fn read_request(
    mut stream: Socket,
    client: ClientAddress,
    mut read: Vec<u8>,
    deadline: Instant,
    access: &AccessPolicy,
) -> io::Result<HttpOutcome> {
    let head = match timeout_at(deadline, read_head(&mut stream, &mut read)).await {
        Ok(head) => head?,
        Err(_) => return Ok(HttpOutcome::LimitReached(Limit::Handshake)),
    };
    let (refusal, why) = match head {
        Head::Connect { address, port, credentials, length } => {
            let Ok(credentials) = timeout_at(deadline, authenticate(client, credentials, access)).await
            else {
                return Ok(HttpOutcome::LimitReached(Limit::Handshake));
            };
            match credentials {
                Ok(credentials) => {
                    let early_data = read.split_off(length);
                    return Ok(HttpOutcome::Connect(PendingConnect {
                        stream,
                        address,
                        port,
                        credentials,
                        early_data,
                    }));
                }
                Err(Refusal::Wrong) => {
                    tracing::debug!("a client spoke HTTP with wrong credentials");
                    stream.write_all(answer::unauthorized(Refusal::Wrong).as_bytes()).await?;
                    return Ok(HttpOutcome::Unauthorized(stream, RefusedCredentials::HttpWrong));
                }
                Err(Refusal::Unchecked) => {
                    stream.write_all(answer::unauthorized(Refusal::Unchecked).as_bytes()).await?;
                    return Ok(HttpOutcome::Unauthorized(stream, RefusedCredentials::Unchecked));
                }
                // Browsers start without credentials. This answer makes them ask the user.
                Err(Refusal::Missing) => {
                    (answer::unauthorized(Refusal::Missing), "HTTP without credentials, which are required")
                }
            }
        }
        Head::Forwarded => return Ok(HttpOutcome::Forward(stream, read)),
        Head::Path { has_content, accepts_html } => {
            let page = page::explanation(access.status_page.as_deref(), accepts_html);
            let answer = if has_content { page } else { answer::without_content(page) };
            (answer, "HTTP other than CONNECT: got the page")
        }
        Head::Other => {
            (page::explanation(access.status_page.as_deref(), false), "no HTTP that is served: got the page")
        }
        Head::ConnectInLowerCase => (answer::method_in_lower_case(), "HTTP CONNECT in lower case"),
        Head::TooLong => (answer::too_long(), "HTTP with too long a head"),
        Head::Malformed | Head::More => (answer::malformed(), "malformed HTTP"),
    };
    stream.write_all(refusal.as_bytes()).await?;
    Ok(HttpOutcome::Answered(stream, why))
}

/// Reads the head until it is complete or can no longer be.
async fn read_head(stream: &mut Socket, read: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        match head::parse(read) {
            Head::More if read.len() >= MAX_HEAD_BYTES => return Ok(Head::TooLong),
            Head::More => {}
            head => return Ok(head),
        }
        let mut chunk = [0; 1024];
        let room = chunk.len().min(MAX_HEAD_BYTES - read.len());
        match stream.read(chunk.get_mut(..room).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
}

/// Why credentials are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are none.
    Missing,
    /// They are wrong.
    Wrong,
    /// They were not checked, because the client has too many others under check.
    Unchecked,
}

impl Refusal {
    /// In a few words, without a full stop: the reason phrase, and the title of a page.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Missing => "The proxy needs a password",
            Self::Wrong => "The user name or the password of the proxy is wrong",
            Self::Unchecked => "Too many passwords at once",
        }
    }

    /// What happened, and what the client should do.
    pub(crate) fn explanation(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => (
                "the proxy needs a user name and a password, and this request has none",
                "Give your program the user name and password of the proxy.",
            ),
            Self::Wrong => (
                "the user name or the password of the proxy is wrong",
                "Check both. In the address of a proxy, special characters are written as %XX, such as %40 for @.",
            ),
            Self::Unchecked => (
                "the credentials were not checked, because too many others from the same client are being checked",
                "Try again in a few seconds, with one request at first.",
            ),
        }
    }
}

/// Returns the client's credentials if it may use the tunnel. It may do so without credentials only if none are required.
pub(super) async fn authenticate(
    client: ClientAddress,
    credentials: ProxyCredentials,
    access: &AccessPolicy,
) -> Result<ClientCredentials, Refusal> {
    match credentials {
        ProxyCredentials::Missing if access.authentication.allows_anonymous() => Ok(ClientCredentials::None),
        ProxyCredentials::Missing => Err(Refusal::Missing),
        ProxyCredentials::Basic(username, password) => {
            let credentials = Credentials { username: &username, password: &password };
            match access.authentication.check(client, &credentials).await {
                Verdict::Right => Ok(ClientCredentials::of_password(&credentials)),
                Verdict::Wrong => Err(Refusal::Wrong),
                Verdict::Unchecked => Err(Refusal::Unchecked),
            }
        }
        ProxyCredentials::Other => Err(Refusal::Wrong),
    }
}
