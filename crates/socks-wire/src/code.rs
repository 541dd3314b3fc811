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
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CONNECT => f.write_str("CONNECT"),
            Self::BIND => f.write_str("BIND"),
            Self::UDP_ASSOCIATE => f.write_str("UDP ASSOCIATE"),
            Self(number) => write!(f, "command 0x{number:02x}"),
        }
    }
}
