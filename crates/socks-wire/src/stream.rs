//! Whole handshakes over tokio streams: for those who want a SOCKS server or client and no machine to drive.
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
    Address, Authentication, BUFFER, ClientError, ClientHandshake, ClientRequest, ClientStep, Command, Error,
    LONG_BUFFER, NotSocks, Protocol, Responder, ServerHandshake, Step, auth::Credentials, v4, v5,
};

/// An [`Address`] kept beyond the buffer that it came in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum OwnedAddress {
    /// An address in binary form.
    Ip(IpAddr),
    /// A name of any bytes, which may be an address as text: 1 to 255 of them, in SOCKS4a up to [`v4::MAX_HOST`].
    Domain(Vec<u8>),
}

impl OwnedAddress {
    /// The same as messages hold it.
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
    /// Without the address itself: it does not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip(_) => "OwnedAddress::Ip(..)",
            Self::Domain(_) => "OwnedAddress::Domain(..)",
        })
    }
}

/// A request and who made it, kept beyond the buffer that it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRequest {
    /// The protocol it came by.
    pub protocol: Protocol,
    /// What it asks for.
    pub command: Command,
    /// Where to.
    pub address: OwnedAddress,
    /// The port there.
    pub port: u16,
    /// The user id of SOCKS4 and 4a; empty in SOCKS5.
    pub user_id: Vec<u8>,
    /// Username and password, where the client gave them.
    pub credentials: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for OwnedRequest {
    /// Without what the client asked for and who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRequest")
            .field("protocol", &self.protocol)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// A client whose request waits for its reply: [`grant`](Self::grant), [`answer`](Self::answer) or
/// [`refuse`](Self::refuse) it.
#[must_use = "the client waits for its reply"]
pub struct Accepted<S> {
    stream: S,
    request: OwnedRequest,
    early_data: Vec<u8>,
}

impl<S> fmt::Debug for Accepted<S> {
    /// Without the client's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<S: AsyncWrite + Unpin> Accepted<S> {
    /// What the client wants.
    pub fn request(&self) -> &OwnedRequest {
        &self.request
    }

    /// Says that the request has succeeded. Gives the stream, and what the client sent ahead of the reply: its first
    /// data, to be passed on before anything read from the stream.
    ///
    /// # Errors
    /// What writing says.
    pub async fn grant(mut self) -> io::Result<(S, Vec<u8>)> {
        self.stream.write_all(&self.responder().granted()).await?;
        Ok((self.stream, self.early_data))
    }

    /// The stream, to look at.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Says that the request has succeeded, and where: BND.ADDR and BND.PORT of the relay that was asked for with UDP
    /// ASSOCIATE, or of the peer that came to a BIND (RFC 1928 section 6). Gives the same as [`Accepted::grant`].
    ///
    /// # Errors
    /// As [`Accepted::answer`].
    pub async fn grant_at(mut self, address: Address<'_>, port: u16) -> io::Result<(S, Vec<u8>)> {
        self.say_where(address, port).await?;
        Ok((self.stream, self.early_data))
    }

    /// The first of the two replies to BIND: where the peer is waited for. The second one follows.
    ///
    /// # Errors
    /// As [`Accepted::answer`].
    pub async fn listening_at(&mut self, address: Address<'_>, port: u16) -> io::Result<()> {
        self.say_where(address, port).await
    }

    /// Answers RESOLVE with an address or RESOLVE_PTR with a name (Tor's SOCKS extensions, section 2). Gives the stream,
    /// which is to be closed.
    ///
    /// # Errors
    /// What writing says; [`io::ErrorKind::InvalidInput`] for what the client's protocol has no form for, in which case nothing
    /// was written: in SOCKS4 all but IPv4 addresses, in SOCKS5 names of 0 and of more than 255 bytes.
    pub async fn answer(mut self, address: Address<'_>) -> io::Result<S> {
        self.say_where(address, 0).await?;
        Ok(self.stream)
    }

    async fn say_where(&mut self, address: Address<'_>, port: u16) -> io::Result<()> {
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

    /// Says that the request has failed, with the code of the client's protocol. Gives the stream, which is to be closed.
    ///
    /// # Errors
    /// What writing says.
    pub async fn refuse(mut self, v5: v5::ReplyCode, v4: v4::ReplyCode) -> io::Result<S> {
        self.stream.write_all(&self.responder().failed(v5, v4)).await?;
        Ok(self.stream)
    }

    fn responder(&self) -> Responder {
        Responder::new(self.request.protocol)
    }
}

/// Why no request came of a connection.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError<S> {
    /// The limit was reached.
    #[error("the client took too long over its handshake")]
    Timeout,
    /// The connection broke, or ended early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client made a mistake and has been told; close the stream.
    #[error("{error}")]
    Refused {
        /// The stream.
        stream: S,
        /// The mistake.
        error: Error,
    },
    /// The client speaks something else.
    #[error("the client does not speak SOCKS")]
    NotSocks {
        /// The stream.
        stream: S,
        /// What it seems to be.
        protocol: NotSocks,
        /// What has been read of it.
        read: Vec<u8>,
    },
}

impl<S> fmt::Debug for AcceptError<S> {
    /// As the text says it: without the client's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcceptError({self})")
    }
}

/// Runs a server's handshake up to the request, which is left to be answered, within a limit for all of it. `judge`
/// decides on credentials.
///
/// # Errors
/// [`AcceptError`].
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    authentication: Authentication,
    limit: Duration,
    judge: impl FnMut(&Credentials<'_>) -> bool,
) -> Result<Accepted<S>, AcceptError<S>> {
    let mut judge = judge;
    accept_judged_by(stream, authentication, limit, |credentials| ready(judge(credentials))).await
}

/// Does the same as [`accept`] with a judge that takes its time, which is a part of the limit. It copies what it needs of the
/// credentials before it waits for anything.
///
/// # Errors
/// [`AcceptError`].
pub async fn accept_judged_by<S: AsyncRead + AsyncWrite + Unpin, J: Future<Output = bool>>(
    stream: S,
    authentication: Authentication,
    limit: Duration,
    judge: impl FnMut(&Credentials<'_>) -> J,
) -> Result<Accepted<S>, AcceptError<S>> {
    timeout(limit, accept_unlimited(stream, authentication, judge)).await.unwrap_or(Err(AcceptError::Timeout))
}

async fn accept_unlimited<S: AsyncRead + AsyncWrite + Unpin, J: Future<Output = bool>>(
    mut stream: S,
    authentication: Authentication,
    mut judge: impl FnMut(&Credentials<'_>) -> J,
) -> Result<Accepted<S>, AcceptError<S>> {
    let mut handshake = ServerHandshake::with(authentication);
    let mut input = Input::new();
    let mut known = None;
    loop {
        match handshake.step(input.filled()) {
            Step::Receive { .. } => input.receive(&mut stream).await?,
            Step::Send { taken, bytes } => {
                input.drop_front(taken);
                stream.write_all(&bytes).await?;
            }
            Step::Authenticate { taken, credentials } => {
                known = Some((credentials.username.to_vec(), credentials.password.to_vec()));
                let judged = judge(&credentials);
                let accepted = judged.await;
                let status = handshake.judge(accepted);
                input.drop_front(taken);
                stream.write_all(&status).await?;
                if !accepted {
                    return Err(AcceptError::Refused { stream, error: Error::WrongCredentials });
                }
            }
            Step::Request { taken, request } => {
                let request = OwnedRequest {
                    protocol: request.protocol,
                    command: request.command,
                    address: request.address.into(),
                    port: request.port,
                    user_id: request.user_id.to_vec(),
                    credentials: known,
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

/// A stream that a server has connected.
pub struct Connected<S> {
    /// The stream.
    pub stream: S,
    /// What the server says of the far end or its relay; often `0.0.0.0`.
    pub address: OwnedAddress,
    /// The port there.
    pub port: u16,
    /// What came behind the reply: the far end's first data, before anything read from the stream.
    pub early_data: Vec<u8>,
}

impl<S> fmt::Debug for Connected<S> {
    /// Without the far end's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a server did not connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The limit was reached.
    #[error("the server took too long")]
    Timeout,
    /// The connection broke, or ended early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] ClientError),
}

/// Runs a client's handshake within a limit for all of it. For BIND, comes back when the peer has come: use the machine
/// to know where the server listens.
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
    let mut input = Input::new();
    let mut output = [0; ClientHandshake::MAX_SEND];
    // In its place, for a SOCKS4a request with a long host.
    let mut longer = match (request.protocol, request.address) {
        (Protocol::Socks4a, Address::Domain(host)) if host.len() > usize::from(u8::MAX) => {
            vec![0; LONG_BUFFER]
        }
        _ => Vec::new(),
    };
    let output = if longer.is_empty() { &mut output[..] } else { &mut longer };
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

/// The bytes that came and are not used up. What comes beyond stays in the stream.
///
/// There is room for any one message, of which all but one fit where no memory has to be asked for.
struct Input {
    bytes: [u8; BUFFER],
    /// In their place, for a SOCKS4a request with a long host.
    more: Vec<u8>,
    length: usize,
}

impl Input {
    fn new() -> Self {
        Self { bytes: [0; BUFFER], more: Vec::new(), length: 0 }
    }

    fn filled(&self) -> &[u8] {
        let bytes = if self.more.is_empty() { &self.bytes[..] } else { &self.more };
        bytes.get(..self.length).unwrap_or_default()
    }

    fn buffer(&mut self) -> &mut [u8] {
        if self.more.is_empty() { &mut self.bytes } else { &mut self.more }
    }

    async fn receive(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let length = self.length;
        // Full, and the message goes on: only one kind does.
        if length == BUFFER && self.more.is_empty() {
            self.more = vec![0; LONG_BUFFER];
            if let Some(front) = self.more.get_mut(..BUFFER) {
                front.copy_from_slice(&self.bytes);
            }
        }
        let free = self.buffer().get_mut(length..).unwrap_or_default();
        match stream.read(free).await? {
            // Or no room: no message of SOCKS is that long.
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
