//! Username and password authentication of SOCKS5 (RFC 1929).
//!
//! ```text
//! client: VER=01 ULEN UNAME PLEN PASSWD      server: VER=01 STATUS
//! ```

use core::fmt;

use nom::{Parser, multi::length_data, number::streaming::be_u8};

use crate::{
    Encoded, Error, Parsed,
    parse::{Input, fail, run},
};

/// The version of the subnegotiation: 1, whatever the version of SOCKS.
pub const VERSION: u8 = 1;

/// What a client says of itself. Empty fields are accepted: clients with empty passwords exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// UNAME: 0 to 255 bytes of any kind.
    pub username: &'a [u8],
    /// PASSWD: 0 to 255 bytes of any kind.
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

/// Without the content: credentials do not belong in logs.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

fn credentials(input: &[u8]) -> Input<'_, Credentials<'_>> {
    let (input, version) = be_u8(input)?;
    if version != VERSION {
        return fail(Error::Version(version));
    }
    let (input, username) = length_data(be_u8).parse(input)?;
    let (input, password) = length_data(be_u8).parse(input)?;
    Ok((input, Credentials { username, password }))
}

/// The server's answer: success or failure, after which it closes.
#[must_use]
pub fn status(accepted: bool) -> Encoded {
    Encoded::of(&[&[VERSION, u8::from(!accepted)]])
}
