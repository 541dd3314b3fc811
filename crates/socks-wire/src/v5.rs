//! SOCKS5 (RFC 1928).
//!
//! ```text
//! client: VER=05 NMETHODS METHODS(1..255)                 server: VER=05 METHOD
//! client: VER=05 CMD RSV=00 ATYP DST.ADDR DST.PORT(2)     server: VER=05 REP RSV=00 ATYP BND.ADDR BND.PORT(2)
//! ```

use nom::{
    Parser,
    combinator::map,
    multi::length_data,
    number::streaming::{be_u8, be_u16},
};

use crate::{
    address::{Address, UNSPECIFIED, address},
    command::Command,
    encode::{Encode, EncodeError, Writer},
    error::Error,
    parse::{ParseResult, Parsed, fail, run},
};

/// The version byte of every message except subnegotiations.
pub const VERSION: u8 = 5;

/// An authentication method (RFC 1928 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(pub u8);

impl Method {
    /// No authentication required.
    pub const NONE: Self = Self(0x00);
    /// GSSAPI, which this crate recognises but never selects.
    pub const GSSAPI: Self = Self(0x01);
    /// Username and password ([`auth`](crate::auth)).
    pub const USERNAME_PASSWORD: Self = Self(0x02);
    /// The server accepts none of the methods; the client closes the connection.
    pub const NO_ACCEPTABLE: Self = Self(0xff);
}

/// A client's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// METHODS, one byte each. An empty list violates the RFC but is accepted.
    pub methods: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Parses a greeting (RFC 1928 section 3).
    ///
    /// # Errors
    /// [`Error::Version`].
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        run(input, |input| {
            let (input, ()) = version(input)?;
            map(length_data(be_u8), |methods| Greeting { methods }).parse(input)
        })
    }

    /// Whether the client offers a method.
    #[must_use]
    pub fn offers(&self, method: Method) -> bool {
        self.methods.contains(&method.0)
    }
}

impl Encode for Greeting<'_> {
    const MAX_LENGTH: usize = 2 + 255;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.methods.is_empty() {
            return Err(EncodeError::Empty);
        }
        writer.bytes(&[VERSION]);
        writer.counted(self.methods)
    }
}

/// The server's selection of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MethodSelection {
    /// METHOD.
    pub method: Method,
}

impl MethodSelection {
    /// Parses a method selection (RFC 1928 section 3).
    ///
    /// # Errors
    /// [`Error::Version`].
    pub fn parse(input: &[u8]) -> Result<Parsed<Self>, Error> {
        run(input, |input| {
            let (input, ()) = version(input)?;
            map(be_u8, |method| Self { method: Method(method) }).parse(input)
        })
    }
}

impl Encode for MethodSelection {
    const MAX_LENGTH: usize = 2;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&[VERSION, self.method.0]);
        Ok(())
    }
}

/// A client's request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// CMD.
    pub command: Command,
    /// DST.ADDR.
    pub address: Address<'a>,
    /// DST.PORT.
    pub port: u16,
}

impl<'a> Request<'a> {
    /// Parses a request (RFC 1928 section 4).
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::Reserved`], [`Error::AddressType`], [`Error::EmptyHost`].
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        run(input, request)
    }
}

impl core::fmt::Debug for Request<'_> {
    /// Omits the target of the request.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request").field("command", &self.command).finish_non_exhaustive()
    }
}

#[inline]
fn version(input: &[u8]) -> ParseResult<'_, ()> {
    match be_u8(input)? {
        (input, VERSION) => Ok((input, ())),
        (_, other) => fail(Error::Version(other)),
    }
}

#[inline]
fn request(input: &[u8]) -> ParseResult<'_, Request<'_>> {
    let (input, (command, address, port)) = message(input)?;
    Ok((input, Request { command: Command(command), address, port }))
}

/// Parses the common form of requests and replies: VER, CMD or REP, RSV, ATYP and address, port.
#[inline]
fn message(input: &[u8]) -> ParseResult<'_, (u8, Address<'_>, u16)> {
    let (input, ()) = version(input)?;
    let (input, (code, reserved)) = (be_u8, be_u8).parse(input)?;
    if reserved != 0 {
        return fail(Error::Reserved(reserved));
    }
    let (input, address) = address(input)?;
    let (input, port) = be_u16(input)?;
    Ok((input, (code, address, port)))
}

/// Writes the common form of requests and replies, as [`message`] parses it.
fn write(writer: &mut Writer<'_>, code: u8, address: &Address<'_>, port: u16) -> Result<(), EncodeError> {
    writer.bytes(&[VERSION, code, 0]);
    address.write(writer)?;
    writer.port(port);
    Ok(())
}

impl Encode for Request<'_> {
    const MAX_LENGTH: usize = 3 + Address::MAX_LENGTH + 2;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        write(writer, self.command.0, &self.address, self.port)
    }
}

/// REP of a reply (RFC 1928 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyCode(pub u8);

impl ReplyCode {
    /// Succeeded.
    pub const SUCCEEDED: Self = Self(0);
    /// General SOCKS server failure.
    pub const GENERAL_FAILURE: Self = Self(1);
    /// Connection not allowed by ruleset.
    pub const NOT_ALLOWED: Self = Self(2);
    /// Network unreachable.
    pub const NETWORK_UNREACHABLE: Self = Self(3);
    /// Host unreachable.
    pub const HOST_UNREACHABLE: Self = Self(4);
    /// Connection refused.
    pub const CONNECTION_REFUSED: Self = Self(5);
    /// TTL expired.
    pub const TTL_EXPIRED: Self = Self(6);
    /// Command not supported.
    pub const COMMAND_NOT_SUPPORTED: Self = Self(7);
    /// Address type not supported.
    pub const ADDRESS_TYPE_NOT_SUPPORTED: Self = Self(8);

    // Tor's extended codes (SOCKS extensions, section 5), only for clients that are known to understand them. The names are
    // Tor's; what Tor calls a descriptor is a lease set in I2P.

    /// The descriptor of the onion service was not found.
    pub const DESCRIPTOR_NOT_FOUND: Self = Self(0xf0);
    /// The descriptor is invalid.
    pub const DESCRIPTOR_INVALID: Self = Self(0xf1);
    /// The introduction to the onion service failed.
    pub const INTRODUCTION_FAILED: Self = Self(0xf2);
    /// The rendezvous with the onion service failed.
    pub const RENDEZVOUS_FAILED: Self = Self(0xf3);
    /// The onion service accepts authorised clients only, and the client has no key.
    pub const MISSING_AUTHORIZATION: Self = Self(0xf4);
    /// The client's key is not one that the onion service accepts.
    pub const WRONG_AUTHORIZATION: Self = Self(0xf5);
    /// The address of the onion service is malformed.
    pub const INVALID_ADDRESS: Self = Self(0xf6);
    /// The introduction to the onion service timed out.
    pub const INTRODUCTION_TIMED_OUT: Self = Self(0xf7);
}

/// A server's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// REP.
    pub code: ReplyCode,
    /// BND.ADDR.
    pub address: Address<'a>,
    /// BND.PORT.
    pub port: u16,
}

impl Reply<'static> {
    /// Makes a reply that has only a code: BND.ADDR is `0.0.0.0` and BND.PORT 0. It is 10 bytes long, because some clients
    /// read no more after a failure.
    #[must_use]
    pub const fn new(code: ReplyCode) -> Self {
        Self { code, address: UNSPECIFIED, port: 0 }
    }
}

impl<'a> Reply<'a> {
    /// Parses a reply (RFC 1928 section 6).
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::Reserved`], [`Error::AddressType`], [`Error::EmptyHost`].
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        run(input, |input| {
            let (input, (code, address, port)) = message(input)?;
            Ok((input, Reply { code: ReplyCode(code), address, port }))
        })
    }
}

impl Encode for Reply<'_> {
    const MAX_LENGTH: usize = 3 + Address::MAX_LENGTH + 2;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        write(writer, self.code.0, &self.address, self.port)
    }
}
