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
    EncodeError, Error,
    encode::Writer,
    parse::{Input, fail},
};

/// The "no address" of replies: `0.0.0.0`.
pub(crate) const UNSPECIFIED: Address<'static> = Address::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// An address as it stands in messages: of an endpoint, in binary form or by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address<'a> {
    /// An address in binary form.
    Ip(IpAddr),
    /// A name of 1 to 255 bytes of any kind, which may be an address as text.
    Domain(&'a [u8]),
}

impl Address<'_> {
    /// ATYP, address and port at their longest: a name of 255 bytes.
    pub(crate) const MAX_LENGTH: usize = 1 + 1 + 255;

    /// ATYP and the address (RFC 1928 section 5).
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

/// ATYP and the address (RFC 1928 section 5).
#[inline]
pub(crate) fn address(input: &[u8]) -> Input<'_, Address<'_>> {
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
    /// Without the address itself: it does not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip(_) => "Address::Ip(..)",
            Self::Domain(_) => "Address::Domain(..)",
        })
    }
}
