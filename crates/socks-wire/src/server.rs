use core::{fmt, net::IpAddr};

use crate::{Address, Command, Encode, EncodeError, Encoded, Error, Parsed, auth, v4, v5};

/// The protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// SOCKS4, with an address.
    Socks4,
    /// SOCKS4a, with a host name.
    Socks4a,
    /// SOCKS5.
    Socks5,
}

/// A client's request, whatever its protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The protocol it came by.
    pub protocol: Protocol,
    /// What it asks for.
    pub command: Command,
    /// Where to.
    pub address: Address<'a>,
    /// The port there.
    pub port: u16,
    /// The user id of SOCKS4 and 4a; empty in SOCKS5.
    pub user_id: &'a [u8],
}

impl fmt::Debug for Request<'_> {
    /// Without what the client asked for and who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("protocol", &self.protocol)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Request<'_> {
    /// What makes the replies to this request. Keeps nothing of it but the protocol.
    #[must_use]
    pub fn responder(&self) -> Responder {
        Responder::new(self.protocol)
    }
}

/// Makes replies of the form that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responder {
    protocol: Protocol,
}

impl Responder {
    /// Replies for requests of this protocol.
    #[must_use]
    pub const fn new(protocol: Protocol) -> Self {
        Self { protocol }
    }

    /// The protocol of the request.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The request has succeeded and there is no address to tell: `0.0.0.0:0`.
    #[must_use]
    pub fn granted(&self) -> Encoded {
        self.reply(v5::ReplyCode::SUCCEEDED, v4::ReplyCode::GRANTED)
    }

    /// A reply with the code of the client's protocol and no address; after a failure the server closes.
    #[must_use]
    pub fn failed(&self, v5: v5::ReplyCode, v4: v4::ReplyCode) -> Encoded {
        self.reply(v5, v4)
    }

    /// The request has succeeded, and this is the address: of a BIND or UDP relay, or the answer to RESOLVE and
    /// RESOLVE_PTR. SOCKS4 has room for an IPv4 address only, and gets `0.0.0.0` for another.
    ///
    /// # Errors
    /// What [`Encode::encode`] says; [`Responder::MAX_LENGTH`] bytes are always enough.
    pub fn granted_at(
        &self,
        address: Address<'_>,
        port: u16,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        match (self.protocol, address) {
            (Protocol::Socks5, address) => {
                v5::Reply { code: v5::ReplyCode::SUCCEEDED, address, port }.encode(buffer)
            }
            (_, Address::Ip(IpAddr::V4(address))) => {
                v4::Reply { code: v4::ReplyCode::GRANTED, port, address }.encode(buffer)
            }
            _ => v4::Reply { port, ..v4::Reply::new(v4::ReplyCode::GRANTED) }.encode(buffer),
        }
    }

    /// The longest reply, in bytes.
    pub const MAX_LENGTH: usize = <v5::Reply<'_> as Encode>::MAX_LENGTH;

    fn reply(self, v5: v5::ReplyCode, v4: v4::ReplyCode) -> Encoded {
        match self.protocol {
            Protocol::Socks4 | Protocol::Socks4a => Encoded::of(&v4::Reply::new(v4)),
            Protocol::Socks5 => Encoded::of(&v5::Reply::new(v5)),
        }
    }
}

/// Which clients a server takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// Anybody; credentials are never asked for.
    None,
    /// Anybody; who offers credentials is asked for them, even when no authentication is offered too, since only then
    /// the client says who it is. What it says keeps its streams apart.
    #[default]
    Isolation,
    /// Anybody; credentials are asked for only when the client offers nothing else. For clients that offer them and
    /// then send broken ones.
    IsolationLast,
    /// Only who gives credentials that the caller accepts. SOCKS4, which has none, is refused.
    Required,
}

/// What a client speaks that is not SOCKS, judged by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotSocks {
    /// A letter that an HTTP method starts with.
    Http,
    /// A TLS record of a handshake.
    Tls,
    /// Something else.
    Other(u8),
}

/// The one thing to do next. The caller first drops `taken` bytes from the front of its buffer, where the step
/// has them, once it has used what the step borrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step<'a> {
    /// Read at least so many more bytes behind those already there, and step again.
    Receive {
        /// At least so many are to come, never fewer.
        at_least: usize,
    },
    /// Send these bytes and step again.
    Send {
        /// Bytes of the input that are done with.
        taken: usize,
        /// What to send.
        bytes: Encoded,
    },
    /// The client has given credentials: judge them, send what [`ServerHandshake::judge`] gives, and step again.
    Authenticate {
        /// Bytes of the input that are done with.
        taken: usize,
        /// What the client says.
        credentials: auth::Credentials<'a>,
    },
    /// The handshake is done: answer this by its [`Request::responder`]. What follows `taken` bytes of input is the
    /// client's early data.
    Request {
        /// Bytes of the input that are done with.
        taken: usize,
        /// What the client wants.
        request: Request<'a>,
    },
    /// The client cannot be served: send these bytes and close.
    Refuse {
        /// What to send.
        bytes: Encoded,
        /// Why.
        error: Error,
    },
    /// Not a SOCKS client. Nothing was taken.
    NotSocks(NotSocks),
    /// The handshake is over already: a request was given, or a refusal.
    Over,
}

/// The server's side of a handshake.
///
/// Takes SOCKS4, SOCKS4a and SOCKS5, with no authentication or with username and password, as [`Authentication`] says.
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
    Judging,
    Request,
    Over,
}

impl ServerHandshake {
    /// A handshake that has not begun, with [`Authentication::Isolation`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handshake that has not begun.
    #[must_use]
    pub fn with(authentication: Authentication) -> Self {
        Self { authentication, state: State::default() }
    }

    /// Says what to do next, given all bytes that have come and were not taken yet. After
    /// [`Step::Receive`], the same bytes and more are given again.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match self.state {
            State::FirstByte => self.first_byte(input),
            State::Greeting => self.greeting(input),
            State::Credentials => self.credentials(input),
            State::Request => self.request(input),
            // Credentials that nobody judged are not accepted.
            State::Judging => self.refuse(status(false), Error::WrongCredentials),
            State::Over => Step::Over,
        }
    }

    /// Decides on the credentials of [`Step::Authenticate`], and gives the bytes that tell the client. When they
    /// are not accepted, the next step is [`Step::Over`]: close.
    #[must_use]
    pub fn judge(&mut self, accepted: bool) -> Encoded {
        self.state = match (self.state, accepted) {
            (State::Judging, true) => State::Request,
            _ => State::Over,
        };
        status(self.state == State::Request)
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
            b'A'..=b'Z' => Step::NotSocks(NotSocks::Http),
            0x16 => Step::NotSocks(NotSocks::Tls),
            other => Step::NotSocks(NotSocks::Other(other)),
        }
    }

    fn greeting<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let select = |method| Encoded::of(&v5::MethodSelection { method });
        let none = select(v5::Method::NO_ACCEPTABLE);
        let (greeting, taken) = match v5::Greeting::parse(input) {
            Ok(Parsed::Message { message, length }) => (message, length),
            Ok(Parsed::More { at_least }) => return Step::Receive { at_least },
            Err(error) => return self.refuse(none, error),
        };
        let credentials = (v5::Method::USERNAME_PASSWORD, State::Credentials);
        let nothing = (v5::Method::NONE, State::Request);
        let by_preference: &[_] = match self.authentication {
            Authentication::None => &[nothing],
            Authentication::Isolation => &[credentials, nothing],
            Authentication::IsolationLast => &[nothing, credentials],
            Authentication::Required => &[credentials],
        };
        let Some(&(method, state)) = by_preference.iter().find(|(method, _)| greeting.offers(*method)) else {
            return self.refuse(none, Error::NoAcceptableMethod);
        };
        self.state = state;
        Step::Send { taken, bytes: select(method) }
    }

    fn credentials<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match auth::Credentials::parse(input) {
            Ok(Parsed::Message { message: credentials, length: taken }) => {
                self.state = State::Judging;
                Step::Authenticate { taken, credentials }
            }
            Ok(Parsed::More { at_least }) => Step::Receive { at_least },
            Err(error) => self.refuse(status(false), error),
        }
    }

    fn request<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match v5::Request::parse(input) {
            Ok(Parsed::Message { message: v5::Request { command, address, port }, length: taken }) => {
                self.state = State::Over;
                let protocol = Protocol::Socks5;
                Step::Request { taken, request: Request { protocol, command, address, port, user_id: &[] } }
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
                Step::Request { taken, request: Request { protocol, command, address, port, user_id } }
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

fn status(accepted: bool) -> Encoded {
    Encoded::of(&if accepted { auth::Status::ACCEPTED } else { auth::Status::REFUSED })
}
