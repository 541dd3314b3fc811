use core::fmt;

/// The command of a request. SOCKS4 and SOCKS5 use the same numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u8);

impl Command {
    /// Opens a stream to the target.
    pub const CONNECT: Self = Self(1);
    /// Waits for a stream from the target.
    pub const BIND: Self = Self(2);
    /// Opens a UDP relay (SOCKS5).
    pub const UDP_ASSOCIATE: Self = Self(3);
    /// Resolves a name to an address, without a stream (Tor's SOCKS extensions, section 2; SOCKS4a and SOCKS5).
    pub const RESOLVE: Self = Self(0xf0);
    /// Resolves an address to a name (Tor's SOCKS extensions, section 2; SOCKS5).
    pub const RESOLVE_PTR: Self = Self(0xf1);
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CONNECT => f.write_str("CONNECT"),
            Self::BIND => f.write_str("BIND"),
            Self::UDP_ASSOCIATE => f.write_str("UDP ASSOCIATE"),
            Self::RESOLVE => f.write_str("RESOLVE"),
            Self::RESOLVE_PTR => f.write_str("RESOLVE_PTR"),
            Self(number) => write!(f, "command 0x{number:02x}"),
        }
    }
}
