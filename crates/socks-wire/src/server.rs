use core::fmt;

use crate::{
    address::Address, auth, command::Command, encoded::Encoded, error::Error, not_socks::NotSocks,
    parse::Parsed, protocol::Protocol, responder::Responder, v4, v5,
};

/// A client's request in any protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SocksRequest<'a> {
    /// The client's protocol.
    pub protocol: Protocol,
    /// The command.
    pub command: Command,
    /// The address of the target.
    pub address: Address<'a>,
    /// The port of the target.
    pub port: u16,
    /// The user id of SOCKS4 and 4a; empty for SOCKS5.
    pub user_id: &'a [u8],
}

impl fmt::Debug for SocksRequest<'_> {
    /// Omits the target and the user id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocksRequest")
            .field("protocol", &self.protocol)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl SocksRequest<'_> {
    /// Returns the responder that makes the replies to this request. It keeps only the protocol.
    #[must_use]
    pub fn responder(&self) -> Responder {
        Responder::new(self.protocol)
    }
}

/// The authentication that a server asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// Accepts every client without authentication.
    None,
    /// Accepts clients with and without credentials. A client that offers both methods is asked for its credentials, because
    /// they isolate its streams from those of other credentials.
    #[default]
    Isolation,
    /// Accepts clients with and without credentials, and asks for credentials only if the client offers no other method. For
    /// clients that offer credentials and then send malformed ones.
    IsolationLast,
    /// Accepts only clients whose credentials the caller accepts. SOCKS4 has no credentials and is refused.
    Required,
}

/// The caller's next action. Where the step has `taken`, the caller drops that many bytes from the front of its input, once it
/// no longer needs the values borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step<'a> {
    /// Read at least `at_least` more bytes after those in the input, and step again.
    Receive {
        /// The least number of bytes still to come.
        at_least: usize,
    },
    /// Send these bytes and step again.
    Send {
        /// Bytes of the input that were used.
        taken: usize,
        /// The bytes to send.
        bytes: Encoded,
    },
    /// The client has sent credentials: call [`ServerHandshake::accept_credentials`] or
    /// [`ServerHandshake::refuse_credentials`], send the bytes that it returns, and step again.
    Authenticate {
        /// Bytes of the input that were used.
        taken: usize,
        /// The client's credentials.
        credentials: auth::Credentials<'a>,
    },
    /// The handshake is complete: reply to the request with its [`SocksRequest::responder`]. The input after the first `taken`
    /// bytes is the client's early data.
    Request {
        /// Bytes of the input that were used.
        taken: usize,
        /// The client's request.
        request: SocksRequest<'a>,
    },
    /// The client is refused: send these bytes and close the connection.
    Refuse {
        /// The bytes to send.
        bytes: Encoded,
        /// The reason.
        error: Error,
    },
    /// The client does not speak SOCKS. No input was used.
    NotSocks(NotSocks),
    /// The handshake has ended already, with a request or a refusal.
    Over,
}

/// The server's side of a handshake.
///
/// It accepts SOCKS4, SOCKS4a and SOCKS5, without authentication or with username and password, as set by
/// [`Authentication`].
#[derive(Debug, Clone, Default)]
pub struct ServerHandshake {
    authentication: Authentication,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    FirstByte,
    Greeting,
    Credentials,
    CredentialsCheck,
    Request,
    Over,
}

impl ServerHandshake {
    /// Makes a handshake that has not started, with [`Authentication::Isolation`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a handshake that has not started.
    #[must_use]
    pub fn with_authentication(authentication: Authentication) -> Self {
        Self { authentication, state: State::default() }
    }

    /// Returns the next action. `input` holds all bytes received and not yet dropped. After [`Step::Receive`] the caller passes
    /// the same bytes again, with more after them.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match self.state {
            State::FirstByte => self.first_byte(input),
            State::Greeting => self.greeting(input),
            State::Credentials => self.credentials(input),
            State::Request => self.request(input),
            // Credentials that the caller has not accepted are refused.
            State::CredentialsCheck => {
                self.refuse(Encoded::of(&auth::Status::REFUSED), Error::WrongCredentials)
            }
            State::Over => Step::Over,
        }
    }

    /// Accepts the credentials of [`Step::Authenticate`]. Returns the bytes to send to the client.
    #[must_use]
    pub fn accept_credentials(&mut self) -> Encoded {
        match self.state {
            State::CredentialsCheck => {
                self.state = State::Request;
                Encoded::of(&auth::Status::ACCEPTED)
            }
            // No credentials are waiting for a decision.
            _ => self.refuse_credentials(),
        }
    }

    /// Refuses the credentials of [`Step::Authenticate`]. Returns the bytes to send to the client, after which the caller closes
    /// the connection: the next step is [`Step::Over`].
    #[must_use]
    pub fn refuse_credentials(&mut self) -> Encoded {
        self.state = State::Over;
        Encoded::of(&auth::Status::REFUSED)
    }

    fn first_byte<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let Some(&first) = input.first() else { return Step::Receive { at_least: 1 } };
        self.state = match first {
            v5::VERSION => State::Greeting,
            v4::VERSION if self.authentication == Authentication::Required => {
                let reply = v4::Reply::new(v4::ReplyCode::WRONG_USER);
                return self.refuse(Encoded::of(&reply), Error::WrongCredentials);
            }
            v4::VERSION => return self.request4(input),
            _ => State::Over,
        };
        match first {
            v5::VERSION => self.greeting(input),
            other => Step::NotSocks(NotSocks::of_first_byte(other)),
        }
    }

    fn greeting<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let select = |method| Encoded::of(&v5::MethodSelection { method });
        let no_acceptable = select(v5::Method::NO_ACCEPTABLE);
        let (greeting, taken) = match v5::Greeting::parse(input) {
            Ok(Parsed::Message { message, length }) => (message, length),
            Ok(Parsed::More { at_least }) => return Step::Receive { at_least },
            Err(error) => return self.refuse(no_acceptable, error),
        };
        let credentials = (v5::Method::USERNAME_PASSWORD, State::Credentials);
        let no_authentication = (v5::Method::NONE, State::Request);
        let by_preference: &[_] = match self.authentication {
            Authentication::None => &[no_authentication],
            Authentication::Isolation => &[credentials, no_authentication],
            Authentication::IsolationLast => &[no_authentication, credentials],
            Authentication::Required => &[credentials],
        };
        let Some(&(method, state)) = by_preference.iter().find(|(method, _)| greeting.offers(*method)) else {
            return self.refuse(no_acceptable, Error::NoAcceptableMethod);
        };
        self.state = state;
        Step::Send { taken, bytes: select(method) }
    }

    fn credentials<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match auth::Credentials::parse(input) {
            Ok(Parsed::Message { message: credentials, length: taken }) => {
                self.state = State::CredentialsCheck;
                Step::Authenticate { taken, credentials }
            }
            Ok(Parsed::More { at_least }) => Step::Receive { at_least },
            Err(error) => self.refuse(Encoded::of(&auth::Status::REFUSED), error),
        }
    }

    fn request<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match v5::Request::parse(input) {
            Ok(Parsed::Message { message: v5::Request { command, address, port }, length: taken }) => {
                self.state = State::Over;
                let protocol = Protocol::Socks5;
                Step::Request {
                    taken,
                    request: SocksRequest { protocol, command, address, port, user_id: &[] },
                }
            }
            Ok(Parsed::More { at_least }) => Step::Receive { at_least },
            Err(error) => {
                let code = match error {
                    Error::AddressType(_) => v5::ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED,
                    _ => v5::ReplyCode::GENERAL_FAILURE,
                };
                self.refuse(Encoded::of(&v5::Reply::new(code)), error)
            }
        }
    }

    fn request4<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match v4::Request::parse(input) {
            Ok(Parsed::Message { message, length: taken }) => {
                self.state = State::Over;
                let v4::Request { command, port, address, user_id, host } = message;
                let (protocol, address) = match host {
                    Some(host) => (Protocol::Socks4a, Address::Domain(host)),
                    None => (Protocol::Socks4, Address::Ip(address.into())),
                };
                Step::Request { taken, request: SocksRequest { protocol, command, address, port, user_id } }
            }
            Ok(Parsed::More { at_least }) => Step::Receive { at_least },
            Err(error) => self.refuse(Encoded::of(&v4::Reply::new(v4::ReplyCode::REJECTED)), error),
        }
    }

    fn refuse<'a>(&mut self, bytes: Encoded, error: Error) -> Step<'a> {
        self.state = State::Over;
        Step::Refuse { bytes, error }
    }
}
