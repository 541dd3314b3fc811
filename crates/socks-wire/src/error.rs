/// The mistake in a message of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The version byte does not fit the message.
    #[error("unexpected version byte 0x{0:02x}")]
    Version(u8),
    /// The greeting offers no method that the server accepts.
    #[error("no authentication method in common")]
    NoAcceptableMethod,
    /// The credentials were not accepted.
    #[error("wrong credentials")]
    WrongCredentials,
    /// The reserved byte of a SOCKS5 request is not 0 (RFC 1928 section 4).
    #[error("reserved byte 0x{0:02x} is not 0")]
    Reserved(u8),
    /// The address type is not one of RFC 1928 section 5.
    #[error("unknown address type 0x{0:02x}")]
    AddressType(u8),
    /// The host name is empty.
    #[error("empty host name")]
    EmptyHost,
    /// The UDP datagram ends within its header.
    #[error("the datagram ends within its header")]
    Truncated,
    /// A SOCKS4 field has no NUL within [`v4::MAX_USER_ID_BYTES`](crate::v4::MAX_USER_ID_BYTES) or
    /// [`v4::MAX_HOST_BYTES`](crate::v4::MAX_HOST_BYTES) bytes.
    #[error("a SOCKS4 field is too long")]
    FieldTooLong,
}
