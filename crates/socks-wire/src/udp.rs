//! The header of UDP datagrams between a client and its relay (RFC 1928 section 7).
//!
//! ```text
//! RSV(2)=0000 FRAG ATYP DST.ADDR DST.PORT(2) DATA
//! ```

use nom::{
    Parser,
    number::streaming::{be_u8, be_u16},
};

use crate::{
    address::{Address, address},
    encode::{Encode, EncodeError, Writer},
    error::Error,
    parse::{ParseResult, Parsed, fail, run},
};

/// FRAG: whether a datagram is standalone, or which fragment of one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment(pub u8);

impl Fragment {
    /// Not a fragment.
    pub const STANDALONE: Self = Self(0);

    /// The position within the sequence, 1 to 127; 0 for a standalone datagram.
    #[must_use]
    pub fn position(self) -> u8 {
        self.0 & 0x7f
    }

    /// Whether this is the last fragment of its sequence.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// The header before the data of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header<'a> {
    /// FRAG.
    pub fragment: Fragment,
    /// The destination of the data; in a datagram to the client, its origin.
    pub address: Address<'a>,
    /// The port of that address.
    pub port: u16,
}

impl<'a> Header<'a> {
    /// Splits a datagram into its header and its data, which may be empty.
    ///
    /// # Errors
    /// [`Error::Reserved`], [`Error::AddressType`], [`Error::EmptyHost`], [`Error::Truncated`]: the caller drops the
    /// datagram.
    pub fn split(datagram: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        match run(datagram, header)? {
            Parsed::Message { message, length } => Ok((message, datagram.get(length..).unwrap_or_default())),
            Parsed::More { .. } => Err(Error::Truncated),
        }
    }
}

fn header(input: &[u8]) -> ParseResult<'_, Header<'_>> {
    let (input, (first, second, fragment)) = (be_u8, be_u8, be_u8).parse(input)?;
    if first != 0 || second != 0 {
        return fail(Error::Reserved(first | second));
    }
    let (input, address) = address(input)?;
    let (input, port) = be_u16(input)?;
    Ok((input, Header { fragment: Fragment(fragment), address, port }))
}

impl Encode for Header<'_> {
    const MAX_LENGTH: usize = 2 + 1 + Address::MAX_LENGTH + 2;

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&[0, 0, self.fragment.0]);
        self.address.write(writer)?;
        writer.port(self.port);
        Ok(())
    }
}
