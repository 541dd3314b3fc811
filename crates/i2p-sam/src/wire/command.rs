use std::net::SocketAddr;

use i2p_name::{Destination, I2pName};
use zeroize::Zeroizing;

use super::{
    datagram::DatagramStyle,
    dialect::{Dialect, EncodeError, LineWriter, Text},
    lease_set::LeaseSetDialect,
    options::SessionOptions,
    ports::Ports,
    private_key::PrivateKey,
    session_id::SessionId,
};

/// A line to a bridge. It is built from typed values only, so that no input of a client can become part of the protocol.
pub trait Command {
    /// Writes the line in this dialect, with its newline.
    ///
    /// # Errors
    /// [`EncodeError`] when the dialect cannot express it.
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError>;
}

/// A user and a password for a bridge that asks for them (SAM v3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `USER`.
    pub user: Text,
    /// `PASSWORD`.
    pub password: Text,
}

/// `HELLO VERSION`: the first line on every connection (SAM v3, "SAM connection handshake").
///
/// It asks for 3.1 to 3.3. i2pd chooses the minimum when it does not know the maximum, so the minimum is the first version
/// that is sufficient: 3.1 has `SIGNATURE_TYPE`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hello<'a> {
    /// The user and password, for a bridge that asks for them.
    pub login: Option<&'a Login>,
}

impl Command for Hello<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let line = LineWriter::new(dialect, "HELLO VERSION").plain("MIN", "3.1").plain("MAX", "3.3");
        match self.login {
            Some(Login { user, password }) => line.quoted("USER", user)?.quoted("PASSWORD", password)?.end(),
            None => line.end(),
        }
    }
}

/// The kind of traffic that a session carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Streams.
    Stream,
    /// Datagrams of one kind, which the bridge sends to our UDP port.
    Datagrams {
        /// The kind of datagrams.
        style: DatagramStyle,
        /// `HOST` and `PORT`: the address to which the bridge sends the datagrams that arrive.
        forward_to: SocketAddr,
        /// `FROM_PORT` and `TO_PORT`: the I2CP ports of a datagram that is sent without others. The session listens on the first.
        ports: Ports,
    },
    /// Nothing: its subsessions carry the traffic.
    Primary(PrimaryWord),
}

/// A bridge's word for a session that has subsessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrimaryWord {
    /// `PRIMARY`: Java I2P since 0.9.47 and emissary.
    Primary,
    /// `MASTER`: i2pd, and Java I2P before 0.9.47.
    Master,
}

impl Style {
    fn write(self, line: LineWriter) -> LineWriter {
        match self {
            Self::Stream => line.plain("STYLE", "STREAM"),
            Self::Primary(PrimaryWord::Primary) => line.plain("STYLE", "PRIMARY"),
            Self::Primary(PrimaryWord::Master) => line.plain("STYLE", "MASTER"),
            Self::Datagrams { style, forward_to, ports } => {
                let line = line
                    .plain("STYLE", style.word())
                    .plain("HOST", forward_to.ip())
                    .plain("PORT", forward_to.port())
                    .plain_if("FROM_PORT", nonzero(ports.from))
                    .plain_if("TO_PORT", nonzero(ports.to));
                match style {
                    DatagramStyle::Raw { protocol } => {
                        // i2pd sends no headers and ignores the option.
                        line.plain_if("PROTOCOL", protocol).plain("HEADER", true)
                    }
                    _ => line,
                }
            }
        }
    }
}

/// The port, unless it is 0: that is the default everywhere and need not be sent.
fn nonzero(port: u16) -> Option<u16> {
    (port != 0).then_some(port)
}

/// `SESSION CREATE` (SAM v3, "Creating a session").
#[derive(Debug)]
pub struct SessionCreate<'a> {
    /// The session's ID.
    pub id: &'a SessionId,
    /// What it carries.
    pub style: Style,
    /// How the router reads the options of its lease set.
    pub lease_set: LeaseSetDialect,
    /// Its options.
    pub options: &'a SessionOptions,
}

impl Command for SessionCreate<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let line = LineWriter::new(dialect, "SESSION CREATE");
        let line = self.style.write(line).plain("ID", self.id.as_str());
        let line = match self.options.key().map(PrivateKey::as_str) {
            Some(key) => line.plain("DESTINATION", key),
            // By default routers make DSA keys.
            None => line.plain("DESTINATION", "TRANSIENT").plain("SIGNATURE_TYPE", 7),
        };
        self.options.write(line, self.lease_set)?.end()
    }
}

/// `SESSION ADD`: a subsession of a primary session (SAM v3.3, "PRIMARY sessions").
#[derive(Debug)]
pub struct SessionAdd<'a> {
    /// The subsession's own ID.
    pub id: &'a SessionId,
    /// What it carries; not [`Style::Primary`], which bridges refuse.
    pub style: Style,
    /// `LISTEN_PORT`: the I2CP port whose streams or datagrams it receives; 0 is every port that no other subsession has.
    pub listen_port: u16,
}

impl Command for SessionAdd<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let line = LineWriter::new(dialect, "SESSION ADD");
        let line = self.style.write(line).plain("ID", self.id.as_str());
        match self.style {
            // A stream subsession listens on its own FROM_PORT, or on all ports. Without FROM_PORT i2pd 2.45 does not answer,
            // and reads nothing more on the connection.
            Style::Stream => {
                line.plain("FROM_PORT", self.listen_port).plain("LISTEN_PORT", self.listen_port).end()
            }
            _ => line.plain_if("LISTEN_PORT", nonzero(self.listen_port)).end(),
        }
    }
}

/// `SESSION REMOVE`: ends a subsession (SAM v3.3, "PRIMARY sessions").
#[derive(Debug)]
pub struct SessionRemove<'a> {
    /// The subsession's ID.
    pub id: &'a SessionId,
}

impl Command for SessionRemove<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        LineWriter::new(dialect, "SESSION REMOVE").plain("ID", self.id.as_str()).end()
    }
}

/// `STREAM CONNECT` (SAM v3, "SAM virtual streams: CONNECT").
#[derive(Debug)]
pub struct StreamConnect<'a> {
    /// The session that connects.
    pub id: &'a SessionId,
    /// The receiver.
    pub destination: &'a I2pName,
    /// The I2CP ports; i2pd ignores them.
    pub ports: Ports,
}

impl Command for StreamConnect<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        LineWriter::new(dialect, "STREAM CONNECT")
            .plain("ID", self.id.as_str())
            .plain("DESTINATION", self.destination)
            .plain("SILENT", false)
            .plain_if("FROM_PORT", nonzero(self.ports.from))
            .plain_if("TO_PORT", nonzero(self.ports.to))
            .end()
    }
}

/// `STREAM ACCEPT` (SAM v3, "SAM virtual streams: ACCEPT").
#[derive(Debug)]
pub struct StreamAccept<'a> {
    /// The session that accepts.
    pub id: &'a SessionId,
}

impl Command for StreamAccept<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        LineWriter::new(dialect, "STREAM ACCEPT").plain("ID", self.id.as_str()).plain("SILENT", false).end()
    }
}

/// `STREAM FORWARD` (SAM v3, "SAM virtual streams: FORWARD").
#[derive(Debug)]
pub struct StreamForward<'a> {
    /// The session whose streams are forwarded.
    pub id: &'a SessionId,
    /// `HOST` and `PORT`: the address to which the bridge connects for each stream. emissary ignores the host and connects to
    /// its own.
    pub forward_to: SocketAddr,
    /// Whether the line that names the peer is left out.
    pub silent: bool,
}

impl Command for StreamForward<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        LineWriter::new(dialect, "STREAM FORWARD")
            .plain("ID", self.id.as_str())
            .plain("PORT", self.forward_to.port())
            .plain("HOST", self.forward_to.ip())
            .plain("SILENT", self.silent)
            .end()
    }
}

/// `NAMING LOOKUP` (SAM v3, "SAM utility commands").
#[derive(Debug)]
pub struct NamingLookup<'a> {
    /// The name to look up.
    pub name: LookupName<'a>,
    /// Whether to ask for the options of the lease set (API 0.9.66). Older routers ignore it.
    pub options: bool,
}

/// A name that can be looked up.
#[derive(Debug, Clone, Copy)]
pub enum LookupName<'a> {
    /// `ME`: the session's own destination.
    Me,
    /// A name that no address book holds. Routers answer it differently, which tells one from another.
    Nonexistent,
    /// A name, a hash or a destination.
    Name(&'a I2pName),
}

impl Command for NamingLookup<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let line = LineWriter::new(dialect, "NAMING LOOKUP");
        let line = match self.name {
            LookupName::Me => line.plain("NAME", "ME"),
            LookupName::Nonexistent => line.plain("NAME", "x"),
            LookupName::Name(name) => line.plain("NAME", name),
        };
        line.plain_if("OPTIONS", self.options.then_some(true)).end()
    }
}

/// `DEST GENERATE` of Ed25519 keys, the only kind that all routers make (SAM v3, "Destination key generation").
#[derive(Debug, Clone, Copy)]
pub struct DestGenerate;

impl Command for DestGenerate {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        // emissary knows the number only, not the name.
        LineWriter::new(dialect, "DEST GENERATE").plain("SIGNATURE_TYPE", 7).end()
    }
}

/// `DATAGRAM SEND`: a repliable datagram over the control connection. `size` bytes of payload must follow
/// (SAM v3, "SAM repliable datagrams"). Not for subsessions; emissary does not support it.
#[derive(Debug)]
pub struct DatagramSend<'a> {
    /// The receiver.
    pub destination: &'a Destination,
    /// The payload's length in bytes: 1 to 31,744.
    pub size: u16,
    /// The I2CP ports.
    pub ports: Ports,
}

impl Command for DatagramSend<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        send(LineWriter::new(dialect, "DATAGRAM SEND"), self.destination, self.size, self.ports).end()
    }
}

/// `RAW SEND`: as [`DatagramSend`], for a datagram that does not name its sender (SAM v3, "SAM anonymous datagrams").
#[derive(Debug)]
pub struct RawSend<'a> {
    /// The receiver.
    pub destination: &'a Destination,
    /// The payload's length in bytes: 1 to 32,768.
    pub size: u16,
    /// The I2CP ports.
    pub ports: Ports,
    /// `PROTOCOL`, if it is not the session's.
    pub protocol: Option<u8>,
}

impl Command for RawSend<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let line = send(LineWriter::new(dialect, "RAW SEND"), self.destination, self.size, self.ports);
        line.plain_if("PROTOCOL", self.protocol).end()
    }
}

fn send(line: LineWriter, destination: &Destination, size: u16, ports: Ports) -> LineWriter {
    line.plain("DESTINATION", destination.to_base64())
        .plain("SIZE", size)
        .plain_if("FROM_PORT", nonzero(ports.from))
        .plain_if("TO_PORT", nonzero(ports.to))
}

/// `PONG`: the answer to a bridge's `PING`, with the same text (SAM v3.2, "PING").
#[derive(Debug)]
pub struct Pong<'a> {
    /// The text of the `PING`. It holds no newline, since it was part of a line.
    pub text: &'a str,
}

impl Command for Pong<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let mut line = Zeroizing::new(String::from("PONG"));
        // A line break would start another command.
        let text = self.text.lines().next().unwrap_or_default();
        if !text.is_empty() {
            line.push(' ');
            line.push_str(text);
        }
        line.push('\n');
        let (length, limit) = (line.len(), dialect.max_line());
        if length > limit { Err(EncodeError::TooLong { length, limit }) } else { Ok(line) }
    }
}

/// `QUIT`: ends the connection and its session (SAM v3.2, optional). Closing the connection does the same.
#[derive(Debug, Clone, Copy)]
pub struct Quit;

impl Command for Quit {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        LineWriter::new(dialect, "QUIT").end()
    }
}

/// `HELP` (SAM v3.2, optional). i2pd closes the connection; emissary does not answer.
#[derive(Debug, Clone, Copy)]
pub struct Help;

impl Command for Help {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        LineWriter::new(dialect, "HELP").end()
    }
}

/// `PING` (SAM v3.2). This client never sends it: i2pd closes the connection after its answer; emissary does not answer.
#[derive(Debug)]
pub struct Ping<'a> {
    /// The text that the bridge sends back.
    pub text: &'a Text,
}

impl Command for Ping<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        let line = Pong { text: self.text.as_str() }.line(dialect)?;
        Ok(Zeroizing::new(line.replacen("PONG", "PING", 1)))
    }
}

/// `AUTH`: who may use the bridge (SAM v3.2, optional; Java I2P).
#[derive(Debug)]
#[non_exhaustive]
pub enum Auth<'a> {
    /// `AUTH ENABLE`: from now on the bridge asks for a user and a password.
    Enable,
    /// `AUTH DISABLE`.
    Disable,
    /// `AUTH ADD`.
    Add(&'a Login),
    /// `AUTH REMOVE`.
    Remove(&'a Text),
}

impl Command for Auth<'_> {
    fn line(&self, dialect: Dialect) -> Result<Zeroizing<String>, EncodeError> {
        match self {
            Self::Enable => LineWriter::new(dialect, "AUTH ENABLE").end(),
            Self::Disable => LineWriter::new(dialect, "AUTH DISABLE").end(),
            Self::Add(Login { user, password }) => {
                LineWriter::new(dialect, "AUTH ADD").quoted("USER", user)?.quoted("PASSWORD", password)?.end()
            }
            Self::Remove(user) => LineWriter::new(dialect, "AUTH REMOVE").quoted("USER", user)?.end(),
        }
    }
}
