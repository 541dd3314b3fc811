//! SOCKS4 and SOCKS4a.
//!
//! ```text
//! client: VN=04 CD DSTPORT(2) DSTIP(4) USERID NUL [HOST NUL]      server: VN=00 CD DSTPORT(2) DSTIP(4)
//! ```
//!
//! SOCKS4a is a DSTIP of 0.0.0.x with x other than 0, and a host name after the user id.

use core::net::Ipv4Addr;

use nom::{
    Err, Needed, Parser,
    number::streaming::{be_u8, be_u16, be_u32},
};

use crate::{
    command::Command,
    encode::{Encode, EncodeError, Writer},
    error::Error,
    parse::{Fault, ParseResult, Parsed, fail, run},
};

/// The version byte of requests. Replies have version 0.
pub const VERSION: u8 = 4;
/// Bytes of the longest user id accepted, without the NUL. The protocol itself has no limit.
pub const MAX_USER_ID_BYTES: usize = 255;
/// Bytes of the longest host accepted, without the NUL: the length of the longest I2P destination in base64, which does not
/// fit into a SOCKS5 request. The protocol itself has no limit.
pub const MAX_HOST_BYTES: usize = 3_868;

/// A client's request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// CD.
    pub command: Command,
    /// DSTPORT.
    pub port: u16,
    /// DSTIP. Meaningless if there is a host.
    pub address: Ipv4Addr,
    /// USERID: any text, at the client's choice.
    pub user_id: &'a [u8],
    /// The host of SOCKS4a: 1 to [`MAX_HOST_BYTES`] bytes without NUL, otherwise unchecked.
    pub host: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Parses a request of SOCKS4 or SOCKS4a.
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::FieldTooLong`], [`Error::EmptyHost`].
    pub fn parse(input: &'a [u8]) -> Result<Parsed<Self>, Error> {
        run(input, request)
    }
}

fn request(input: &[u8]) -> ParseResult<'_, Request<'_>> {
    let (input, version) = be_u8(input)?;
    if version != VERSION {
        return fail(Error::Version(version));
    }
    let (input, (command, port, address)) = (be_u8, be_u16, be_u32).parse(input)?;
    let (input, user_id) = nul_terminated(input, MAX_USER_ID_BYTES)?;
    let (input, host) = match address {
        1..=255 => {
            let (input, host) = nul_terminated(input, MAX_HOST_BYTES)?;
            if host.is_empty() {
                return fail(Error::EmptyHost);
            }
            (input, Some(host))
        }
        _ => (input, None),
    };
    Ok((input, Request { command: Command(command), port, address: address.into(), user_id, host }))
}

/// Takes the bytes up to a NUL. More than `limit` bytes are an error, even if the NUL is still to come.
fn nul_terminated(input: &[u8], limit: usize) -> ParseResult<'_, &[u8]> {
    match input.iter().take(limit + 1).position(|&byte| byte == 0) {
        Some(end) => {
            let (field, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
            Ok((rest.get(1..).unwrap_or_default(), field))
        }
        None if input.len() > limit => Err(Err::Failure(Fault(Error::FieldTooLong))),
        None => Err(Err::Incomplete(Needed::new(1))),
    }
}

impl Encode for Request<'_> {
    const MAX_LENGTH: usize = 8 + (MAX_USER_ID_BYTES + 1) + (MAX_HOST_BYTES + 1);

    /// With a host, DSTIP is the mark of SOCKS4a, and [`Request::address`] is ignored. Without a host, an address that equals
    /// the mark cannot be encoded: [`EncodeError::Empty`].
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&[VERSION, self.command.0]);
        writer.port(self.port);
        match self.host {
            Some([]) => Err(EncodeError::Empty),
            Some(host) => {
                writer.bytes(&[0, 0, 0, 1]);
                writer.nul_terminated(self.user_id, MAX_USER_ID_BYTES)?;
                writer.nul_terminated(host, MAX_HOST_BYTES)
            }
            None if matches!(self.address.to_bits(), 1..=255) => Err(EncodeError::Empty),
            None => {
                writer.bytes(&self.address.octets());
                writer.nul_terminated(self.user_id, MAX_USER_ID_BYTES)
            }
        }
    }
}

/// CD of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyCode(pub u8);

impl ReplyCode {
    /// The request is granted.
    pub const GRANTED: Self = Self(90);
    /// The request is rejected or has failed.
    pub const REJECTED: Self = Self(91);
    /// The client runs no identd.
    pub const NO_IDENTD: Self = Self(92);
    /// The identd reports another user.
    pub const WRONG_USER: Self = Self(93);
}

/// A server's reply: always 8 bytes. Clients ignore port and address for CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// CD.
    pub code: ReplyCode,
    /// DSTPORT.
    pub port: u16,
    /// DSTIP.
    pub address: Ipv4Addr,
}

impl Reply {
    /// Makes a reply that has only a code: port and address are 0.
    #[must_use]
    pub const fn new(code: ReplyCode) -> Self {
        Self { code, port: 0, address: Ipv4Addr::UNSPECIFIED }
    }

    /// Parses a reply. Its version is 0; version 4, which some servers send, is accepted too.
    ///
    /// # Errors
    /// [`Error::Version`].
    pub fn parse(input: &[u8]) -> Result<Parsed<Self>, Error> {
        run(input, |input| {
            let (input, version) = be_u8(input)?;
            if version != 0 && version != VERSION {
                return fail(Error::Version(version));
            }
            let (input, (code, port, address)) = (be_u8, be_u16, be_u32).parse(input)?;
            Ok((input, Self { code: ReplyCode(code), port, address: address.into() }))
        })
    }
}

impl Encode for Reply {
    const MAX_LENGTH: usize = 8;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&[0, self.code.0]);
        writer.port(self.port);
        writer.bytes(&self.address.octets());
        Ok(())
    }
}

impl core::fmt::Debug for Request<'_> {
    /// Omits the target of the request.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request").field("command", &self.command).finish_non_exhaustive()
    }
}
