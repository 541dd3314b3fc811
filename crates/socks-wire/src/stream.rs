//! Complete handshakes over tokio streams, for SOCKS servers and clients that do not want to drive a machine themselves.
//!
//! ```
//! use std::time::Duration;
//!
//! use socks_wire::{
//!     Address, Authentication, ClientRequest, Command, Protocol,
//!     stream::{OwnedAddress, accept, connect},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limit = Duration::from_secs(30);
//! let (client, server) = tokio::io::duplex(1024);
//!
//! let serve = async {
//!     let accepted = accept(server, Authentication::Isolation, limit, |_| true).await?;
//!     assert_eq!(accepted.request().address, OwnedAddress::Domain(b"example.i2p".to_vec()));
//!     let (_stream, early_data) = accepted.grant().await?;
//!     assert!(early_data.is_empty());
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//! let ask = async {
//!     let request = ClientRequest {
//!         protocol: Protocol::Socks5,
//!         command: Command::CONNECT,
//!         address: Address::Domain(b"example.i2p"),
//!         port: 80,
//!         credentials: None,
//!     };
//!     let _connected = connect(client, request, limit).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//! let (served, asked) = tokio::join!(serve, ask);
//! served?;
//! asked
//! # }
//! ```

use std::{
    fmt,
    future::{Future, ready},
    io,
    net::IpAddr,
    time::Duration,
    vec,
    vec::Vec,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{
    BUFFER_BYTES, LONG_BUFFER_BYTES,
    address::Address,
    auth::Credentials,
    client::{ClientError, ClientHandshake, ClientRequest, ClientStep},
    command::Command,
    error::Error,
    not_socks::NotSocks,
    protocol::Protocol,
    responder::Responder,
    server::{Authentication, ServerHandshake, Step},
    v4, v5,
};

/// An [`Address`] that owns its content.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum OwnedAddress {
    /// An IP address in binary form.
    Ip(IpAddr),
    /// A name of arbitrary bytes, which may be an IP address as text: 1 to 255 bytes, in SOCKS4a up to [`v4::MAX_HOST_BYTES`].
    Domain(Vec<u8>),
}

impl OwnedAddress {
    /// Borrows it as an [`Address`].
    #[must_use]
    pub fn borrow(&self) -> Address<'_> {
        match self {
            Self::Ip(ip) => Address::Ip(*ip),
            Self::Domain(name) => Address::Domain(name),
        }
    }
}

impl From<Address<'_>> for OwnedAddress {
    fn from(address: Address<'_>) -> Self {
        match address {
            Address::Ip(ip) => Self::Ip(ip),
            Address::Domain(name) => Self::Domain(name.to_vec()),
        }
    }
}

impl fmt::Debug for OwnedAddress {
    /// Omits the address: it does not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip(_) => "OwnedAddress::Ip(..)",
            Self::Domain(_) => "OwnedAddress::Domain(..)",
        })
    }
}

/// A client's request with its credentials, which owns its content.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRequest {
    /// The client's protocol.
    pub protocol: Protocol,
    /// The command.
    pub command: Command,
    /// The address of the target.
    pub address: OwnedAddress,
    /// The port of the target.
    pub port: u16,
    /// The user id of SOCKS4 and 4a; empty for SOCKS5.
    pub user_id: Vec<u8>,
    /// Username and password, if the client sent them.
    pub credentials: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for OwnedRequest {
    /// Omits the target, the user id and the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRequest")
            .field("protocol", &self.protocol)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// A client that waits for the reply to its request: [`grant`](Self::grant), [`answer`](Self::answer) or
/// [`refuse`](Self::refuse) it.
#[must_use = "the client waits for its reply"]
pub struct Accepted<S> {
    stream: S,
    request: OwnedRequest,
    early_data: Vec<u8>,
}

impl<S> fmt::Debug for Accepted<S> {
    /// Omits the client's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<S: AsyncWrite + Unpin> Accepted<S> {
    /// The client's request.
    pub fn request(&self) -> &OwnedRequest {
        &self.request
    }

    /// Replies that the request has succeeded. Returns the stream and the client's early data: what the client sent before the
    /// reply, which must be passed on before anything read from the stream.
    ///
    /// # Errors
    /// Errors of writing to the stream.
    pub async fn grant(mut self) -> io::Result<(S, Vec<u8>)> {
        self.stream.write_all(&self.responder().granted()).await?;
        Ok((self.stream, self.early_data))
    }

    /// The client's stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Replies that the request has succeeded, with an address as BND.ADDR and BND.PORT: of the relay for UDP ASSOCIATE, or of
    /// the peer that connected after BIND (RFC 1928 section 6). Returns the same as [`Accepted::grant`].
    ///
    /// # Errors
    /// The errors of [`Accepted::answer`].
    pub async fn grant_at(mut self, address: Address<'_>, port: u16) -> io::Result<(S, Vec<u8>)> {
        self.write_address(address, port).await?;
        Ok((self.stream, self.early_data))
    }

    /// Sends the first of the two replies to BIND: the address that the peer is expected at. [`grant_at`](Self::grant_at) sends
    /// the second.
    ///
    /// # Errors
    /// The errors of [`Accepted::answer`].
    pub async fn listening_at(&mut self, address: Address<'_>, port: u16) -> io::Result<()> {
        self.write_address(address, port).await
    }

    /// Answers RESOLVE with an address or RESOLVE_PTR with a name (Tor's SOCKS extensions, section 2). Returns the stream, which
    /// the caller closes.
    ///
    /// # Errors
    /// Errors of writing to the stream. [`io::ErrorKind::InvalidInput`], before anything is written, if the client's protocol
    /// has no form for the address: SOCKS4 has only IPv4 addresses, SOCKS5 only names of 1 to 255 bytes.
    pub async fn answer(mut self, address: Address<'_>) -> io::Result<S> {
        self.write_address(address, 0).await?;
        Ok(self.stream)
    }

    async fn write_address(&mut self, address: Address<'_>, port: u16) -> io::Result<()> {
        let mut buffer = [0; Responder::MAX_LENGTH];
        let has_form = matches!(
            (self.request.protocol, address),
            (Protocol::Socks5, _) | (_, Address::Ip(IpAddr::V4(_)))
        );
        let length = match self.responder().granted_at(address, port, &mut buffer) {
            Ok(length) if has_form => length,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        self.stream.write_all(buffer.get(..length).unwrap_or_default()).await
    }

    /// Replies that the request has failed, with the code for the client's protocol. Returns the stream, which the caller
    /// closes.
    ///
    /// # Errors
    /// Errors of writing to the stream.
    pub async fn refuse(mut self, v5: v5::ReplyCode, v4: v4::ReplyCode) -> io::Result<S> {
        self.stream.write_all(&self.responder().failed(v5, v4)).await?;
        Ok(self.stream)
    }

    fn responder(&self) -> Responder {
        Responder::new(self.request.protocol)
    }
}

/// Why a connection brought no request.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError<S> {
    /// The time limit was reached.
    #[error("the client's handshake took too long")]
    Timeout,
    /// The connection failed or ended early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client was refused and told so. The caller closes the stream.
    #[error("{error}")]
    Refused {
        /// The client's stream.
        stream: S,
        /// The reason.
        error: Error,
    },
    /// The client speaks another protocol.
    #[error("the client does not speak SOCKS")]
    NotSocks {
        /// The client's stream.
        stream: S,
        /// The protocol that its first byte suggests.
        protocol: NotSocks,
        /// The bytes read from the stream so far.
        read: Vec<u8>,
    },
}

impl<S> fmt::Debug for AcceptError<S> {
    /// Shows the error text, without the client's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcceptError({self})")
    }
}

/// Runs a server's handshake up to the request, within one time limit. The caller then replies to the request.
/// `are_accepted` returns whether credentials are accepted.
///
/// # Errors
/// [`AcceptError`].
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    authentication: Authentication,
    limit: Duration,
    mut are_accepted: impl FnMut(&Credentials<'_>) -> bool,
) -> Result<Accepted<S>, AcceptError<S>> {
    let check = |credentials: &Credentials<'_>| ready(are_accepted(credentials));
    accept_with_async_check(stream, authentication, limit, check).await
}

/// Like [`accept`], with a check of credentials that may wait. The time limit includes it. `are_accepted` must copy what it
/// needs of the credentials into the future that it returns.
///
/// # Errors
/// [`AcceptError`].
pub async fn accept_with_async_check<S: AsyncRead + AsyncWrite + Unpin, C: Future<Output = bool>>(
    stream: S,
    authentication: Authentication,
    limit: Duration,
    are_accepted: impl FnMut(&Credentials<'_>) -> C,
) -> Result<Accepted<S>, AcceptError<S>> {
    timeout(limit, accept_unlimited(stream, authentication, are_accepted))
        .await
        .unwrap_or(Err(AcceptError::Timeout))
}

async fn accept_unlimited<S: AsyncRead + AsyncWrite + Unpin, C: Future<Output = bool>>(
    mut stream: S,
    authentication: Authentication,
    mut are_accepted: impl FnMut(&Credentials<'_>) -> C,
) -> Result<Accepted<S>, AcceptError<S>> {
    let mut handshake = ServerHandshake::with_authentication(authentication);
    let mut input = InputBuffer::new();
    let mut sent_credentials = None;
    loop {
        match handshake.step(input.filled()) {
            Step::Receive { .. } => input.receive(&mut stream).await?,
            Step::Send { taken, bytes } => {
                input.drop_front(taken);
                stream.write_all(&bytes).await?;
            }
            Step::Authenticate { taken, credentials } => {
                sent_credentials = Some((credentials.username.to_vec(), credentials.password.to_vec()));
                let check = are_accepted(&credentials);
                if !check.await {
                    stream.write_all(&handshake.refuse_credentials()).await?;
                    return Err(AcceptError::Refused { stream, error: Error::WrongCredentials });
                }
                input.drop_front(taken);
                stream.write_all(&handshake.accept_credentials()).await?;
            }
            Step::Request { taken, request } => {
                let request = OwnedRequest {
                    protocol: request.protocol,
                    command: request.command,
                    address: request.address.into(),
                    port: request.port,
                    user_id: request.user_id.to_vec(),
                    credentials: sent_credentials,
                };
                input.drop_front(taken);
                return Ok(Accepted { stream, request, early_data: input.filled().to_vec() });
            }
            Step::Refuse { bytes, error } => {
                stream.write_all(&bytes).await?;
                return Err(AcceptError::Refused { stream, error });
            }
            Step::NotSocks(protocol) => {
                return Err(AcceptError::NotSocks { stream, protocol, read: input.filled().to_vec() });
            }
            Step::Over => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// A stream connected through a server.
pub struct Connected<S> {
    /// The stream.
    pub stream: S,
    /// The address in the server's reply; often `0.0.0.0`.
    pub address: OwnedAddress,
    /// The port in the server's reply.
    pub port: u16,
    /// The target's first data, received together with the reply. It comes before anything read from the stream.
    pub early_data: Vec<u8>,
}

impl<S> fmt::Debug for Connected<S> {
    /// Omits the target's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why no connection through a server was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The time limit was reached.
    #[error("the server took too long")]
    Timeout,
    /// The connection failed or ended early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] ClientError),
}

/// Runs a client's handshake within one time limit. For BIND, it returns once the peer has connected; to learn where the server
/// listens, use [`ClientHandshake`].
///
/// # Errors
/// [`ConnectError`].
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: ClientRequest<'_>,
    limit: Duration,
) -> Result<Connected<S>, ConnectError> {
    timeout(limit, connect_unlimited(stream, request)).await.unwrap_or(Err(ConnectError::Timeout))
}

async fn connect_unlimited<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: ClientRequest<'_>,
) -> Result<Connected<S>, ConnectError> {
    let mut handshake = ClientHandshake::new(request);
    let mut input = InputBuffer::new();
    let mut output = [0; ClientHandshake::MAX_SEND];
    // Used instead for a SOCKS4a request with a long host.
    let mut long_output = match (request.protocol, request.address) {
        (Protocol::Socks4a, Address::Domain(host)) if host.len() > usize::from(u8::MAX) => {
            vec![0; LONG_BUFFER_BYTES]
        }
        _ => Vec::new(),
    };
    let output = if long_output.is_empty() { &mut output[..] } else { &mut long_output };
    loop {
        match handshake.step(input.filled(), output)? {
            ClientStep::Send { taken, length } => {
                input.drop_front(taken);
                stream.write_all(output.get(..length).unwrap_or_default()).await?;
            }
            ClientStep::Receive { .. } => input.receive(&mut stream).await?,
            ClientStep::Listening { taken, .. } => input.drop_front(taken),
            ClientStep::Established { taken, reply } => {
                let (address, port) = (reply.address.into(), reply.port);
                input.drop_front(taken);
                return Ok(Connected { stream, address, port, early_data: input.filled().to_vec() });
            }
            ClientStep::Over => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// The bytes received and not yet used.
///
/// Any message fits. Only a SOCKS4a request with a long host needs memory of the heap.
struct InputBuffer {
    bytes: [u8; BUFFER_BYTES],
    /// Used instead of `bytes` for a SOCKS4a request with a long host.
    long_bytes: Vec<u8>,
    length: usize,
}

impl InputBuffer {
    fn new() -> Self {
        Self { bytes: [0; BUFFER_BYTES], long_bytes: Vec::new(), length: 0 }
    }

    fn filled(&self) -> &[u8] {
        let bytes = if self.long_bytes.is_empty() { &self.bytes[..] } else { &self.long_bytes };
        bytes.get(..self.length).unwrap_or_default()
    }

    fn buffer(&mut self) -> &mut [u8] {
        if self.long_bytes.is_empty() { &mut self.bytes } else { &mut self.long_bytes }
    }

    async fn receive(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let length = self.length;
        // The buffer is full and the message incomplete: it is a SOCKS4a request with a long host.
        if length == BUFFER_BYTES && self.long_bytes.is_empty() {
            self.long_bytes = vec![0; LONG_BUFFER_BYTES];
            if let Some(front) = self.long_bytes.get_mut(..BUFFER_BYTES) {
                front.copy_from_slice(&self.bytes);
            }
        }
        let free = self.buffer().get_mut(length..).unwrap_or_default();
        match stream.read(free).await? {
            // The end of the stream, or a full buffer: no SOCKS message is that long.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.length += count;
                Ok(())
            }
        }
    }

    fn drop_front(&mut self, count: usize) {
        let (length, count) = (self.length, count.min(self.length));
        self.buffer().copy_within(count..length, 0);
        self.length -= count;
    }
}
