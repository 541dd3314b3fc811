use core::net::IpAddr;

use crate::{
    address::Address,
    auth,
    command::Command,
    encode::{Encode, EncodeError},
    error::Error,
    parse::Parsed,
    protocol::Protocol,
    v4, v5,
};

/// The request that a client makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientRequest<'a> {
    /// The protocol to use. SOCKS4 has no names; SOCKS4 and 4a have no IPv6 addresses.
    pub protocol: Protocol,
    /// The command.
    pub command: Command,
    /// The address of the target.
    pub address: Address<'a>,
    /// The port of the target; RESOLVE and RESOLVE_PTR ignore it.
    pub port: u16,
    /// The client's credentials. A SOCKS5 server may choose between these and no authentication. SOCKS4 and 4a send the
    /// username as user id, and no password.
    pub credentials: Option<auth::Credentials<'a>>,
}

/// A server's reply to a request that has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerReply<'a> {
    /// BND.ADDR or DSTIP: the address of a relay, or the answer to RESOLVE and RESOLVE_PTR; often `0.0.0.0`.
    pub address: Address<'a>,
    /// BND.PORT or DSTPORT.
    pub port: u16,
}

/// Why a client's handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request cannot be encoded in its protocol, or the output buffer is too small.
    #[error("the request cannot be sent: {0}")]
    Encode(EncodeError),
    /// The protocol has no such address: an IPv6 address in SOCKS4 or 4a, or a name in SOCKS4.
    #[error("the protocol has no form for this kind of address")]
    AddressNotInProtocol,
    /// The server's answer is not SOCKS.
    #[error("the server's answer is malformed: {0}")]
    Malformed(Error),
    /// The server accepts none of the methods offered.
    #[error("the server accepts none of the authentication methods offered")]
    NoAcceptableMethod,
    /// The server chose a method that was not offered.
    #[error("the server chose a method that was not offered: {0:?}")]
    MethodNotOffered(v5::Method),
    /// The server refused the credentials.
    #[error("the server refused the credentials")]
    CredentialsRefused,
    /// A SOCKS5 server refused the request.
    #[error("the server refused the request: {0:?}")]
    Refused(v5::ReplyCode),
    /// A SOCKS4 server refused the request.
    #[error("the server refused the request: {0:?}")]
    RefusedSocks4(v4::ReplyCode),
}

/// The caller's next action. Where the step has `taken`, the caller first drops that many bytes from the front of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ClientStep<'a> {
    /// Send the first `length` bytes of the output buffer in one write, and step again.
    Send {
        /// Bytes of the input that were used.
        taken: usize,
        /// Bytes of the output buffer to send.
        length: usize,
    },
    /// Read at least `at_least` more bytes after those in the input, and step again.
    Receive {
        /// The least number of bytes still to come.
        at_least: usize,
    },
    /// BIND: the server listens at this address. Step again to wait for the peer.
    Listening {
        /// Bytes of the input that were used.
        taken: usize,
        /// The address that the server listens at.
        reply: ServerReply<'a>,
    },
    /// The request has succeeded. The input after the first `taken` bytes is the target's first data.
    Established {
        /// Bytes of the input that were used.
        taken: usize,
        /// The server's reply.
        reply: ServerReply<'a>,
    },
    /// The handshake has ended already.
    Over,
}

/// The client's side of a handshake.
#[derive(Debug, Clone)]
pub struct ClientHandshake<'a> {
    request: ClientRequest<'a>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Method,
    Status,
    Reply,
    /// Waits for the second reply to BIND.
    Peer,
    Over,
}

impl<'a> ClientHandshake<'a> {
    /// The size in bytes of an output buffer that every message fits into, except a SOCKS4a request with a host of more than
    /// 255 bytes. For that, [`LONG_BUFFER_BYTES`](crate::LONG_BUFFER_BYTES) is enough.
    pub const MAX_SEND: usize = 8 + 2 * (255 + 1);

    /// Makes a handshake that has not started.
    #[must_use]
    pub fn new(request: ClientRequest<'a>) -> Self {
        Self { request, state: State::Start }
    }

    /// Returns the next action. `input` holds all bytes received and not yet dropped; a message to send is written to `output`.
    ///
    /// # Errors
    /// [`ClientError`]; every later step is [`ClientStep::Over`].
    pub fn step<'i>(&mut self, input: &'i [u8], output: &mut [u8]) -> Result<ClientStep<'i>, ClientError> {
        let step = match (self.state, self.request.protocol) {
            (State::Start, Protocol::Socks5) => self.greet(output),
            (State::Start, _) => self.send_request(output),
            (State::Method, _) => self.method(input, output),
            (State::Status, _) => self.status(input, output),
            (State::Reply | State::Peer, Protocol::Socks5) => self.reply5(input),
            (State::Reply | State::Peer, _) => self.reply4(input),
            (State::Over, _) => Ok(ClientStep::Over),
        };
        if step.is_err() {
            self.state = State::Over;
        }
        step
    }

    fn send<'i>(
        &mut self,
        taken: usize,
        message: &impl Encode,
        output: &mut [u8],
        next: State,
    ) -> Result<ClientStep<'i>, ClientError> {
        let length = message.encode(output).map_err(ClientError::Encode)?;
        self.state = next;
        Ok(ClientStep::Send { taken, length })
    }

    fn greet<'i>(&mut self, output: &mut [u8]) -> Result<ClientStep<'i>, ClientError> {
        let methods: &[u8] = match self.request.credentials {
            Some(_) => &[v5::Method::NONE.0, v5::Method::USERNAME_PASSWORD.0],
            None => &[v5::Method::NONE.0],
        };
        self.send(0, &v5::Greeting { methods }, output, State::Method)
    }

    fn method<'i>(&mut self, input: &'i [u8], output: &mut [u8]) -> Result<ClientStep<'i>, ClientError> {
        let (selection, taken) = match v5::MethodSelection::parse(input).map_err(ClientError::Malformed)? {
            Parsed::Message { message, length } => (message, length),
            Parsed::More { at_least } => return Ok(ClientStep::Receive { at_least }),
        };
        match (selection.method, self.request.credentials) {
            (v5::Method::NONE, _) => self.send_request5(taken, output),
            (v5::Method::USERNAME_PASSWORD, Some(credentials)) => {
                self.send(taken, &credentials, output, State::Status)
            }
            (v5::Method::NO_ACCEPTABLE, _) => Err(ClientError::NoAcceptableMethod),
            (other, _) => Err(ClientError::MethodNotOffered(other)),
        }
    }

    fn status<'i>(&mut self, input: &'i [u8], output: &mut [u8]) -> Result<ClientStep<'i>, ClientError> {
        match auth::Status::parse(input).map_err(ClientError::Malformed)? {
            Parsed::Message { message: auth::Status::ACCEPTED, length } => self.send_request5(length, output),
            Parsed::Message { .. } => Err(ClientError::CredentialsRefused),
            Parsed::More { at_least } => Ok(ClientStep::Receive { at_least }),
        }
    }

    fn send_request5<'i>(&mut self, taken: usize, output: &mut [u8]) -> Result<ClientStep<'i>, ClientError> {
        let ClientRequest { command, address, port, .. } = self.request;
        self.send(taken, &v5::Request { command, address, port }, output, State::Reply)
    }

    fn send_request<'i>(&mut self, output: &mut [u8]) -> Result<ClientStep<'i>, ClientError> {
        let ClientRequest { protocol, command, address, port, credentials } = self.request;
        let user_id = credentials.map_or(&[][..], |credentials| credentials.username);
        let (address, host) = match (protocol, address) {
            (_, Address::Ip(IpAddr::V4(address))) => (address, None),
            (Protocol::Socks4a, Address::Domain(host)) => (core::net::Ipv4Addr::UNSPECIFIED, Some(host)),
            _ => return Err(ClientError::AddressNotInProtocol),
        };
        self.send(0, &v4::Request { command, port, address, user_id, host }, output, State::Reply)
    }

    fn reply5<'i>(&mut self, input: &'i [u8]) -> Result<ClientStep<'i>, ClientError> {
        match v5::Reply::parse(input).map_err(ClientError::Malformed)? {
            Parsed::Message { message: v5::Reply { code, address, port }, length } => match code {
                v5::ReplyCode::SUCCEEDED => Ok(self.succeeded(length, ServerReply { address, port })),
                code => Err(ClientError::Refused(code)),
            },
            Parsed::More { at_least } => Ok(ClientStep::Receive { at_least }),
        }
    }

    fn reply4<'i>(&mut self, input: &'i [u8]) -> Result<ClientStep<'i>, ClientError> {
        match v4::Reply::parse(input).map_err(ClientError::Malformed)? {
            Parsed::Message { message: v4::Reply { code, address, port }, length } => match code {
                v4::ReplyCode::GRANTED => {
                    Ok(self.succeeded(length, ServerReply { address: Address::Ip(address.into()), port }))
                }
                code => Err(ClientError::RefusedSocks4(code)),
            },
            Parsed::More { at_least } => Ok(ClientStep::Receive { at_least }),
        }
    }

    fn succeeded<'i>(&mut self, taken: usize, reply: ServerReply<'i>) -> ClientStep<'i> {
        if self.request.command == Command::BIND && self.state == State::Reply {
            self.state = State::Peer;
            return ClientStep::Listening { taken, reply };
        }
        self.state = State::Over;
        ClientStep::Established { taken, reply }
    }
}
