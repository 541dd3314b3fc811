use core::fmt;

/// What a client asks for. SOCKS4 and SOCKS5 use the same numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u8);

impl Command {
    /// A stream to the target.
    pub const CONNECT: Self = Self(1);
    /// A stream from the target.
    pub const BIND: Self = Self(2);
    /// A UDP relay (SOCKS5).
    pub const UDP_ASSOCIATE: Self = Self(3);
    /// The address of a name, without a stream (Tor's SOCKS extensions, section 2; SOCKS4a and SOCKS5).
    pub const RESOLVE: Self = Self(0xf0);
    /// The name of an address (Tor's SOCKS extensions, section 2; SOCKS5).
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
