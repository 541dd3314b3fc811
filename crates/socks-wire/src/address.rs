use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nom::{
    Parser,
    combinator::map,
    multi::length_data,
    number::streaming::{be_u8, be_u32, be_u128},
};

use crate::{
    encode::{EncodeError, Writer},
    error::Error,
    parse::{ParseResult, fail},
};

/// `0.0.0.0`, which means "no address" in replies.
pub(crate) const UNSPECIFIED: Address<'static> = Address::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// The address of an endpoint in a message, as an IP address or a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address<'a> {
    /// An IP address in binary form.
    Ip(IpAddr),
    /// A name of 1 to 255 arbitrary bytes, which may be an IP address as text.
    Domain(&'a [u8]),
}

impl Address<'_> {
    /// The greatest length of ATYP and the address, in bytes: that of a name of 255 bytes.
    pub(crate) const MAX_LENGTH: usize = 1 + 1 + 255;

    /// Writes ATYP and the address (RFC 1928 section 5).
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Ip(IpAddr::V4(v4)) => {
                writer.bytes(&[1]);
                writer.bytes(&v4.octets());
            }
            Self::Ip(IpAddr::V6(v6)) => {
                writer.bytes(&[4]);
                writer.bytes(&v6.octets());
            }
            Self::Domain([]) => return Err(EncodeError::Empty),
            Self::Domain(name) => {
                writer.bytes(&[3]);
                writer.counted(name)?;
            }
        }
        Ok(())
    }
}

/// Parses ATYP and the address (RFC 1928 section 5).
#[inline]
pub(crate) fn address(input: &[u8]) -> ParseResult<'_, Address<'_>> {
    match be_u8(input)? {
        (input, 1) => map(be_u32, |bits| Address::Ip(Ipv4Addr::from(bits).into())).parse(input),
        (input, 3) => match length_data(be_u8).parse(input)? {
            (_, []) => fail(Error::EmptyHost),
            (input, domain) => Ok((input, Address::Domain(domain))),
        },
        (input, 4) => map(be_u128, |bits| Address::Ip(Ipv6Addr::from(bits).into())).parse(input),
        (_, other) => fail(Error::AddressType(other)),
    }
}

impl fmt::Debug for Address<'_> {
    /// Omits the address: it does not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip(_) => "Address::Ip(..)",
            Self::Domain(_) => "Address::Domain(..)",
        })
    }
}
