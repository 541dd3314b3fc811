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
    /// A letter outside ASCII, in a build without the feature `idna`.
    #[error("the name is not ASCII from position {position} on; give its xn-- form")]
    NotAscii {
        /// Offset of the first such byte, from 0.
        position: usize,
    },
    /// Bytes that are not UTF-8, which international names come in (RFC 1928 does not say; all clients do it).
    #[error("the name is neither ASCII nor UTF-8 from position {position} on")]
    NotUtf8 {
        /// Offset of the first such byte, from 0.
        position: usize,
    },
    /// UTF-8, but not what an international domain name can be (UTS 46): a character that names do not have, or a
    /// label that starts or ends with a hyphen or mixes directions of writing.
    #[error("the international name has a character or a label that domain names cannot have")]
    International,
    /// Labels that the naming rules do not allow.
    #[error("the host name is malformed: {0}")]
    MalformedHost(&'static str),
    /// `.b32.i2p` with the wrong number of characters before it.
    #[error(
        "a base32 address has 52 characters before .b32.i2p, or 56 for an encrypted lease set; this one has {0}"
    )]
    Base32Length(usize),
    /// Not base32, or bits set in the last character that belong to no byte: a typing error.
    #[error("the base32 address has a wrong character")]
    Base32,
    /// The address of an encrypted lease set whose flags, checksum taken off, are none that exist.
    #[error(
        "the checksum of the encrypted lease set's address is wrong (flags 0x{flags:02x}): a character is mistyped"
    )]
    BlindedFlags {
        /// The flags that came out.
        flags: u8,
    },
    /// The address of an encrypted lease set whose key types, checksum taken off, are not Ed25519 (7) or RedDSA
    /// (11) blinded to RedDSA.
    #[error(
        "the checksum of the encrypted lease set's address is wrong (key types {public} and {blinded}): \
         a character is mistyped, or the address is of a later kind"
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
    /// Decoded well, but too short, too long or with a certificate that does not end where the bytes end.
    #[error("the destination's {length} bytes do not make a destination")]
    DestinationLength {
        /// Bytes decoded.
        length: usize,
    },
    /// A certificate that is longer or shorter than its type or the keys in it allow.
    #[error("the destination's certificate of type {kind} cannot have {length} bytes")]
    CertificateLength {
        /// Its type.
        kind: u8,
        /// Bytes of its payload.
        length: usize,
    },
    /// A host whose last label is a number, but which is no IPv4 address in its plain form.
    #[error("the host ends in a number without being a plain IPv4 address")]
    NumericHost,
    /// A service record of another form than proposal 167 has.
    #[error("the service record is malformed")]
    MalformedService,
}
