//! What a client speaks if it does not speak SOCKS.

/// The kind of protocol that a client speaks instead of SOCKS, judged by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotSocks {
    /// HTTP: a character of a method, or the end of an empty line before the request line, which a server ignores (RFC 9112
    /// section 2.2).
    Http,
    /// TLS: the start of a handshake record.
    Tls,
    /// Any other first byte.
    Other(u8),
}

impl NotSocks {
    pub(crate) fn of_first_byte(first: u8) -> Self {
        match first {
            b'\r' | b'\n' => Self::Http,
            method if is_token(method) => Self::Http,
            0x16 => Self::Tls,
            other => Self::Other(other),
        }
    }
}

/// Whether a token may have this character; a method is one (RFC 9110 sections 5.6.2 and 9.1).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
