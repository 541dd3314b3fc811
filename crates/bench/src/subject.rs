//! The programs that are measured.

/// A program that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Our proxy, on a SAM bridge that answers at once.
    Ours,
    /// A bare relay as the yardstick: splice(2) without SOCKS.
    Splice,
    Microsocks,
    Dante,
    FastSocks5,
    /// No program between client and service.
    Direct,
    /// i2pd's own SOCKS port, only in the measurement with real routers.
    I2pd,
    /// Our proxy, built from an earlier commit, only in the comparison with it.
    Before,
}

impl Subject {
    /// The subjects of all other measurements.
    pub(crate) const ALL: [Self; 6] =
        [Self::Ours, Self::Splice, Self::Microsocks, Self::Dante, Self::FastSocks5, Self::Direct];
    /// The other SOCKS servers.
    pub(crate) const PEERS: [Self; 3] = [Self::Microsocks, Self::Dante, Self::FastSocks5];

    /// The subjects of the comparison with an earlier commit. The last two show what noise does to programs that are the same.
    pub(crate) const COMPARISON: [Self; 4] = [Self::Ours, Self::Before, Self::Splice, Self::Direct];

    /// The title of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ours => "i2p-socks",
            Self::Splice => "splice relay",
            Self::Microsocks => "microsocks",
            Self::Dante => "dante",
            Self::FastSocks5 => "fast-socks5",
            Self::Direct => "direct",
            Self::I2pd => "i2pd's SOCKS port",
            Self::Before => "i2p-socks before",
        }
    }

    /// Returns whether it speaks SOCKS.
    pub(crate) fn is_proxy(self) -> bool {
        !matches!(self, Self::Splice | Self::Direct)
    }
}
