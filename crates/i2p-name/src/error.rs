/// Why a name is not valid.
///
/// The messages say what is wrong and where, and never repeat the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("the name is empty")]
    Empty,
    /// The name is longer than any name of its kind.
    #[error("the name has {length} characters, at most {limit} are allowed")]
    TooLong {
        /// Bytes in the name.
        length: usize,
        /// Bytes allowed for this kind of name.
        limit: usize,
    },
    /// A byte that no name contains.
    #[error("byte 0x{byte:02x} at position {position} is not allowed in a name")]
    ForbiddenByte {
        /// The byte.
        byte: u8,
        /// Its offset, counted from 0.
        position: usize,
    },
    /// A letter outside ASCII, in a build without the feature `idna`.
    #[error("the name is not ASCII at position {position}; use its xn-- form")]
    NotAscii {
        /// The offset of the first such byte, counted from 0.
        position: usize,
    },
    /// The bytes are not UTF-8, the encoding of international names (RFC 1928 names none; all clients use UTF-8).
    #[error("the name is not valid UTF-8 at position {position}")]
    NotUtf8 {
        /// The offset of the first such byte, counted from 0.
        position: usize,
    },
    /// Not a valid international domain name (UTS 46): a character that names cannot have, or a label that starts or ends
    /// with a hyphen or mixes directions of writing.
    #[error("the international name has a character or a label that domain names cannot have")]
    International,
    /// The name does not end in `.i2p`, but it looks as if it did, such as `example.i2p_`. It goes nowhere, because a program
    /// that sends it somewhere else would tell that place which I2P name is wanted.
    #[error("the host looks like a name in I2P, but does not end in .i2p")]
    LooksLikeI2p,
    /// The name breaks a rule for host names.
    #[error("the host name is malformed: {0}")]
    MalformedHost(&'static str),
    /// A wrong number of characters before `.b32.i2p`.
    #[error(
        "a base32 address has 52 characters before .b32.i2p, or 56 for an encrypted lease set; this one has {0}"
    )]
    Base32Length(usize),
    /// Not base32, or leftover bits in the last character: a typing error.
    #[error("the base32 address has a wrong character")]
    Base32,
    /// Unmasking the address of an encrypted lease set gave flags that do not exist.
    #[error(
        "the checksum of the encrypted lease set's address is wrong (flags 0x{flags:02x}): a character is mistyped"
    )]
    BlindedFlags {
        /// The unmasked flags.
        flags: u8,
    },
    /// Unmasking the address of an encrypted lease set gave key types other than Ed25519 (7) or RedDSA (11), blinded to
    /// RedDSA.
    #[error(
        "the checksum of the encrypted lease set's address is wrong (key types {public} and {blinded}): \
         a character is mistyped, or the address has key types of the future"
    )]
    BlindedKeyTypes {
        /// The type of the public key.
        public: u8,
        /// The type of the blinded key.
        blinded: u8,
    },
    /// Not I2P's base64.
    #[error("the destination is not base64 in I2P's alphabet")]
    Base64,
    /// The decoded bytes are too few or too many, or the certificate does not end where they end.
    #[error("{length} bytes are not a valid destination")]
    DestinationLength {
        /// Bytes decoded.
        length: usize,
    },
    /// The certificate is longer or shorter than its type or its key types allow.
    #[error("the destination's certificate of type {kind} cannot have {length} bytes")]
    CertificateLength {
        /// The certificate's type.
        kind: u8,
        /// Bytes of its payload.
        length: usize,
    },
    /// The last label of the host is a number, but the host is not a plain IPv4 address.
    #[error("the host ends in a number but is not a plain IPv4 address")]
    NumericHost,
    /// The service record does not have a form of proposal 167.
    #[error("the service record is malformed")]
    MalformedService,
}
