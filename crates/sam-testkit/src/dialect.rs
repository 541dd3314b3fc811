use std::time::Duration;

/// The router whose bridge the kit imitates, with its deviations from the specification. They are known from recordings of the
/// routers and from their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// Java I2P 2.7.0, the reference: speaks up to 3.3, explains each error, sends PING, accepts pipelined lines and data.
    #[default]
    Java,
    /// i2pd 2.45.1, as Debian 12 ships it: speaks up to 3.1, closes the connection at every error, loses what follows a line in
    /// the same TCP segment.
    I2pd245,
    /// i2pd 2.56.0, as Debian 13 ships it: like [`Dialect::I2pd245`], but with a queue of STREAM ACCEPTs, in which it closes those
    /// that have waited for less than 3 s.
    I2pd256,
    /// i2pd 2.59.0: like [`Dialect::I2pd256`], but up to 3.3, with DATAGRAM2 and DATAGRAM3.
    I2pd259,
    /// emissary-core 0.4.0: ignores what it does not understand, ends error lines by closing, waits ten seconds for clients.
    Emissary,
}

/// A SAM version: major and minor number.
pub(crate) type Version = (u8, u8);

impl Dialect {
    /// Whether it is one of the versions of i2pd, which differ in little.
    pub(crate) const fn is_i2pd(self) -> bool {
        matches!(self, Self::I2pd245 | Self::I2pd256 | Self::I2pd259)
    }

    /// The longest line in bytes, without its newline.
    pub(crate) const fn max_line_bytes(self) -> usize {
        match self {
            Self::Java | Self::I2pd245 | Self::I2pd256 | Self::I2pd259 => 8_192,
            Self::Emissary => 4_095,
        }
    }

    /// Whether the bridge keeps what follows a line in the same TCP segment.
    pub(crate) const fn keeps_rest_of_segment(self) -> bool {
        matches!(self, Self::Java)
    }

    /// How long the bridge waits for HELLO.
    pub(crate) const fn hello_timeout(self) -> Option<Duration> {
        match self {
            Self::Java => Some(Duration::from_secs(60)),
            Self::I2pd245 | Self::I2pd256 | Self::I2pd259 => None,
            Self::Emissary => Some(Duration::from_secs(10)),
        }
    }
}
