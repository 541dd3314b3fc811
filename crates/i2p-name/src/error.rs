/// Why a text names nothing that could be asked for.
///
/// The texts say what is wrong and where, and never repeat the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// More text than any name has.
    #[error("the name has {length} characters, at most {limit} are allowed")]
    TooLong {
        /// Characters given.
        length: usize,
        /// Characters allowed for this kind of name.
        limit: usize,
    },
    /// A byte that no name contains.
    #[error("byte 0x{byte:02x} at position {position} does not belong in a name")]
    ForbiddenByte {
        /// The byte.
        byte: u8,
        /// Its offset from the start, from 0.
        position: usize,
    },
    /// A letter outside ASCII: international names go by their `xn--` form.
    #[error("the name is not ASCII from position {position} on; give its xn-- form")]
    NotAscii {
        /// Offset of the first such byte, from 0.
        position: usize,
    },
    /// Labels that the naming rules do not allow.
    #[error("the host name is malformed: {0}")]
    MalformedHost(&'static str),
    /// `.b32.i2p` with the wrong number of characters before it.
    #[error("a base32 address has 52 characters, or 56 and more, before .b32.i2p; this one has {0}")]
    Base32Length(usize),
    /// Not base32, or bits set in the last character that belong to no byte: a typing error.
    #[error("the base32 address has a wrong character")]
    Base32,
    /// Not I2P's base64.
    #[error("the destination is not base64 in I2P's alphabet")]
    Base64,
    /// Decoded well, but too short or with a certificate that does not end where the bytes end.
    #[error("the destination's {length} bytes do not make a destination")]
    DestinationLength {
        /// Bytes decoded.
        length: usize,
    },
    /// A host whose last label is a number, but which is no IPv4 address in its plain form.
    #[error("the host ends in a number without being a plain IPv4 address")]
    NumericHost,
}
