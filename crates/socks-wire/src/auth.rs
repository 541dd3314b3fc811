//! Username and password authentication of SOCKS5 (RFC 1929).
//!
//! ```text
//! client: VER=01 ULEN UNAME PLEN PASSWD      server: VER=01 STATUS
//! ```

use core::fmt;

use nom::{Parser, multi::length_data, number::streaming::be_u8};

use crate::{
    encode::{Encode, EncodeError, Writer},
    error::Error,
    parse::{ParseResult, Parsed, fail, run},
};

/// The version of the subnegotiation: 1, whatever the version of SOCKS.
pub const VERSION: u8 = 1;

/// A client's username and password. Empty fields are accepted, because clients with empty passwords exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// UNAME: 0 to 255 arbitrary bytes.
    pub username: &'a [u8],
    /// PASSWD: 0 to 255 arbitrary bytes.
    pub password: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// Parses the client's message (RFC 1929 section 2).
    ///
    /// # Errors
    /// [`Error::Version`].
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        run(input, credentials)
    }
}

/// Omits the content: credentials do not belong in logs.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

fn credentials(input: &[u8]) -> ParseResult<'_, Credentials<'_>> {
    let (input, version) = be_u8(input)?;
    if version != VERSION {
        return fail(Error::Version(version));
    }
    let (input, username) = length_data(be_u8).parse(input)?;
    let (input, password) = length_data(be_u8).parse(input)?;
    Ok((input, Credentials { username, password }))
}

impl Encode for Credentials<'_> {
    const MAX_LENGTH: usize = 1 + 2 * (1 + 255);

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&[VERSION]);
        writer.counted(self.username)?;
        writer.counted(self.password)
    }
}

/// The server's answer to credentials. After any status but [`Status::ACCEPTED`] the server closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// The credentials are accepted.
    pub const ACCEPTED: Self = Self(0);
    /// The credentials are refused. Every other number means the same.
    pub const REFUSED: Self = Self(1);

    /// Parses the server's message (RFC 1929 section 2).
    ///
    /// # Errors
    /// [`Error::Version`].
    pub fn parse(input: &[u8]) -> Result<Parsed<Self>, Error> {
        run(input, |input| match be_u8(input)? {
            (input, VERSION) => be_u8(input).map(|(input, status)| (input, Self(status))),
            (_, other) => fail(Error::Version(other)),
        })
    }
}

impl Encode for Status {
    const MAX_LENGTH: usize = 2;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&[VERSION, self.0]);
        Ok(())
    }
}

/// The first 8 bytes of a username in Tor's extended format (proposal 351).
const TOR_USERNAME_PREFIX: &[u8] = b"<torS0X>";

/// How credentials isolate streams from each other (Tor's SOCKS extensions, section 1).
///
/// Streams may share a circuit or session only if their whole values are equal, the variant included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation<'a> {
    /// Plain credentials: username and password together isolate.
    Legacy(Credentials<'a>),
    /// The username is `<torS0X>0`: the password alone isolates.
    Tor(Credentials<'a>),
    /// The username is `<torS0X>` with a format that is missing, unknown, or `1`, which names an RPC object of Tor. The
    /// server must refuse the client.
    Unsupported,
}

impl<'a> Credentials<'a> {
    /// The isolation that these credentials request.
    #[must_use]
    pub fn isolation(&self) -> Isolation<'a> {
        match self.username.strip_prefix(TOR_USERNAME_PREFIX) {
            None => Isolation::Legacy(*self),
            Some(b"0") => Isolation::Tor(*self),
            Some(_) => Isolation::Unsupported,
        }
    }
}
