//! SOCKS5 (RFC 1928).
//!
//! ```text
//! client: VER=05 NMETHODS METHODS(1..255)                 server: VER=05 METHOD
//! client: VER=05 CMD RSV=00 ATYP DST.ADDR DST.PORT(2)     server: VER=05 REP RSV=00 ATYP BND.ADDR BND.PORT(2)
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nom::{
    Parser,
    combinator::map,
    multi::length_data,
    number::streaming::{be_u8, be_u16, be_u32, be_u128},
};

use crate::{
    Command, Encoded, Error, Host, Parsed,
    parse::{Input, fail, run},
};

/// The version of every message, subnegotiations apart.
pub const VERSION: u8 = 5;

/// An authentication method (RFC 1928 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(pub u8);

impl Method {
    /// No authentication required.
    pub const NONE: Self = Self(0x00);
    /// GSSAPI, which this crate recognises and never chooses.
    pub const GSSAPI: Self = Self(0x01);
    /// Username and password ([`auth`](crate::auth)).
    pub const USERNAME_PASSWORD: Self = Self(0x02);
    /// The server's "none of these"; the client closes.
    pub const NO_ACCEPTABLE: Self = Self(0xff);
}

/// A client's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// METHODS, one byte each; none at all is against the RFC and comes through.
    pub methods: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Parses a greeting (RFC 1928 section 3).
    ///
    /// # Errors
    /// [`Error::Version`].
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

/// The server's choice of a method.
#[must_use]
pub fn method_selection(method: Method) -> Encoded {
    Encoded::of(&[&[VERSION, method.0]])
}

/// A client's request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// CMD.
    pub command: Command,
    /// DST.ADDR.
    pub host: Host<'a>,
    /// DST.PORT.
    pub port: u16,
}

impl<'a> Request<'a> {
    /// Parses a request (RFC 1928 section 4).
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::Reserved`], [`Error::AddressType`], [`Error::EmptyHost`].
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        run(input, request)
    }
}

impl core::fmt::Debug for Request<'_> {
    /// Without what the client asked for.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request").field("command", &self.command).finish_non_exhaustive()
    }
}

fn version(input: &[u8]) -> Input<'_, ()> {
    match be_u8(input)? {
        (input, VERSION) => Ok((input, ())),
        (_, other) => fail(Error::Version(other)),
    }
}

fn request(input: &[u8]) -> Input<'_, Request<'_>> {
    let (input, ()) = version(input)?;
    let (input, (command, reserved)) = (be_u8, be_u8).parse(input)?;
    if reserved != 0 {
        return fail(Error::Reserved(reserved));
    }
    let (input, host) = address(input)?;
    let (input, port) = be_u16(input)?;
    Ok((input, Request { command: Command(command), host, port }))
}

/// ATYP and address (RFC 1928 section 5).
fn address(input: &[u8]) -> Input<'_, Host<'_>> {
    match be_u8(input)? {
        (input, 1) => map(be_u32, |bits| Host::Ip(Ipv4Addr::from(bits).into())).parse(input),
        (input, 3) => match length_data(be_u8).parse(input)? {
            (_, []) => fail(Error::EmptyHost),
            (input, domain) => Ok((input, Host::Domain(domain))),
        },
        (input, 4) => map(be_u128, |bits| Host::Ip(Ipv6Addr::from(bits).into())).parse(input),
        (_, other) => fail(Error::AddressType(other)),
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
}

/// A reply. `bind` is BND.ADDR and BND.PORT: `0.0.0.0:0` where there is none to tell, 10 bytes in all, since
/// clients exist that read no more after a failure.
#[must_use]
pub fn reply(code: ReplyCode, bind: SocketAddr) -> Encoded {
    let head = [VERSION, code.0, 0];
    let port = bind.port().to_be_bytes();
    match bind.ip() {
        IpAddr::V4(v4) => Encoded::of(&[&head, &[1], &v4.octets(), &port]),
        IpAddr::V6(v6) => Encoded::of(&[&head, &[4], &v6.octets(), &port]),
    }
}
