/// What a client did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message starts with another version than the one before it.
    #[error("version byte 0x{0:02x} where another was due")]
    Version(u8),
    /// The greeting offers no method that the server takes.
    #[error("no authentication method in common")]
    NoAcceptableMethod,
    /// The credentials were not accepted.
    #[error("wrong credentials")]
    WrongCredentials,
    /// The reserved byte of a SOCKS5 request is not 0 (RFC 1928 section 4).
    #[error("reserved byte 0x{0:02x} is not 0")]
    Reserved(u8),
    /// An address type that RFC 1928 section 5 does not have.
    #[error("unknown address type 0x{0:02x}")]
    AddressType(u8),
    /// A host name of no characters.
    #[error("empty host name")]
    EmptyHost,
    /// A UDP datagram that ends within its header.
    #[error("the datagram ends within its header")]
    Truncated,
    /// A SOCKS4 field without its NUL within [`v4::MAX_USER_ID`](crate::v4::MAX_USER_ID) or
    /// [`v4::MAX_HOST`](crate::v4::MAX_HOST) bytes.
    #[error("a SOCKS4 field without an end")]
    FieldTooLong,
}
