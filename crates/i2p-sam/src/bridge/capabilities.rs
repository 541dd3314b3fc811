use std::fmt;

use crate::wire::{DatagramStyle, Dialect, PrimaryWord, Reply, ResultWord, Version};

/// emissary 0.4 reads 8,192 bytes of a packet on its UDP port and sends on what it has read, so that a longer datagram arrives
/// cut off. The line before the payload takes about 600 bytes, and more where the destination has an unusual key type.
const EMISSARY_MAX_PAYLOAD_BYTES: usize = 7_168;

/// What a router's bridge can do, as far as its answers tell: its SAM version and its dialect.
///
/// A bridge reports its version and nothing else. Which router it belongs to shows when a name is looked up that nobody has:
/// i2pd answers `INVALID_KEY`, the others `KEY_NOT_FOUND`; emissary alone answers 3.2 to a client that knows 3.3. A router that
/// is not recognised is treated as the specification describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    version: Version,
    dialect: Dialect,
}

/// What a router's version tells of its support for a kind of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramSupport {
    /// It supports them.
    Supported,
    /// It does not, or not safely.
    Unsupported,
    /// The version does not tell: [`Router::try_datagrams`](crate::Router::try_datagrams) asks.
    NotKnown,
}

/// The connection on which a router answers lookups of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupChannel {
    /// Any connection. Each lookup has its own, so that a slow one delays no other.
    AnyConnection,
    /// The control connection of a session. Lookups run one after the other: emissary answers nowhere else, and loses one of
    /// two that run at once.
    Session,
}

impl Capabilities {
    /// Recognises a router by its version and by its answer to the lookup of a name that nobody has.
    pub(crate) fn learn(version: Version, answer: Option<Reply<'_>>) -> Self {
        let result = match answer {
            Some(Reply::Naming { status, .. }) => Some(status.result),
            _ => None,
        };
        let dialect = match (result, version) {
            (Some(ResultWord::InvalidKey), _) => Dialect::I2pd,
            (Some(ResultWord::KeyNotFound), Version { major: 3, minor: 2 }) => Dialect::Emissary,
            _ => Dialect::Standard,
        };
        Self { version, dialect }
    }

    /// The version that the bridge chose from 3.1 to 3.3.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the bridge reads lines.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The bridge's word for a session with subsessions, if it supports them.
    #[must_use]
    pub fn primary(&self) -> Option<PrimaryWord> {
        match self.dialect {
            Dialect::I2pd => Some(PrimaryWord::Master),
            Dialect::Emissary => Some(PrimaryWord::Primary),
            Dialect::Standard => (self.version.minor >= 3).then_some(PrimaryWord::Primary),
        }
    }

    /// Whether the bridge may support datagrams of this kind: all but [`DatagramSupport::Unsupported`].
    #[must_use]
    pub fn datagrams(&self, style: DatagramStyle) -> bool {
        self.datagram_support(style) != DatagramSupport::Unsupported
    }

    /// What the version tells of datagrams of this kind. On Java I2P it tells nothing of DATAGRAM2 and DATAGRAM3: 2.7.0 refuses both,
    /// and answers 3.3 as later versions do.
    #[must_use]
    pub fn datagram_support(&self, style: DatagramStyle) -> DatagramSupport {
        use DatagramSupport::{NotKnown, Supported, Unsupported};
        match (self.dialect, style) {
            (_, DatagramStyle::Datagram | DatagramStyle::Raw { .. }) => Supported,
            (Dialect::Standard, _) => NotKnown,
            // Both came to i2pd with version 3.3, in 2.58.
            (Dialect::I2pd, _) if self.version.minor >= 3 => Supported,
            (Dialect::I2pd, _) => Unsupported,
            // emissary 0.4.0 opens sessions for DATAGRAM2, delivers no datagram, and its SAM server ends when one arrives.
            (Dialect::Emissary, _) => Unsupported,
        }
    }

    /// The longest payload of a datagram of this kind, in bytes, that arrives unchanged.
    #[must_use]
    pub fn max_payload(&self, style: DatagramStyle) -> usize {
        match self.dialect {
            Dialect::Emissary => EMISSARY_MAX_PAYLOAD_BYTES,
            Dialect::Standard | Dialect::I2pd => style.max_payload(),
        }
    }

    /// Whether datagrams of this kind can share a destination with streams, on a subsession.
    #[must_use]
    pub fn datagrams_beside_streams(&self, style: DatagramStyle) -> bool {
        // i2pd's subsessions are for streams only.
        self.dialect != Dialect::I2pd && self.primary().is_some() && self.datagrams(style)
    }

    /// Whether the bridge carries the I2CP ports of a stream.
    #[must_use]
    pub fn stream_ports(&self) -> bool {
        self.dialect != Dialect::I2pd
    }

    /// Whether the bridge carries the I2CP ports of datagrams.
    #[must_use]
    pub fn datagram_ports(&self) -> bool {
        self.dialect == Dialect::Standard
    }

    /// Whether a stream's first data can travel in the packet that opens it
    /// ([`SessionOptions::early_data`](crate::SessionOptions::early_data)). Only Java I2P supports it.
    #[must_use]
    pub fn early_data(&self) -> bool {
        self.dialect == Dialect::Standard
    }

    /// Whether a session may have several STREAM ACCEPTs that wait at once. The specification allows it from version 3.2 on. i2pd agrees
    /// to several and does not serve them all: from 2.50 on it closes the new ones, and 2.45 forgets all once one of them is given up.
    #[must_use]
    pub fn concurrent_accepts(&self) -> bool {
        match self.dialect {
            Dialect::Standard => self.version.minor >= 2,
            Dialect::Emissary => true,
            Dialect::I2pd => false,
        }
    }

    /// Where the bridge answers lookups of names.
    pub(crate) fn lookup_channel(&self) -> LookupChannel {
        match self.dialect {
            Dialect::Emissary => LookupChannel::Session,
            Dialect::Standard | Dialect::I2pd => LookupChannel::AnyConnection,
        }
    }

    /// Whether the bridge can remove a subsession. emissary ignores the command; i2pd does not know it, and closes the
    /// connection with all its sessions.
    pub(crate) fn removes_subsessions(&self) -> bool {
        self.dialect == Dialect::Standard
    }
}

/// One line for the log with all that was learned.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SAM {}, dialect {}, datagrams {}, subsessions {}, stream ports {}",
            self.version,
            self.dialect,
            // DATAGRAM2 and DATAGRAM3 came together everywhere.
            match self.datagram_support(DatagramStyle::Datagram2) {
                DatagramSupport::Supported => "1 2 3 and raw",
                DatagramSupport::Unsupported => "1 and raw",
                DatagramSupport::NotKnown => "1 and raw (2 and 3 not tried yet)",
            },
            if self.datagrams_beside_streams(DatagramStyle::Datagram) {
                "for streams and datagrams"
            } else if self.primary().is_some() {
                "for streams"
            } else {
                "none"
            },
            if self.stream_ports() { "carried" } else { "ignored" },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(minor: u8, answer: &str) -> Capabilities {
        Capabilities::learn(Version { major: 3, minor }, Reply::parse(answer.as_bytes()).ok())
    }

    #[test]
    fn each_router_is_recognised_by_its_answers() {
        let java = learn(3, "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=x");
        assert_eq!((java.dialect(), java.primary()), (Dialect::Standard, Some(PrimaryWord::Primary)));
        assert!(java.early_data());
        assert_eq!(java.datagram_support(DatagramStyle::Datagram2), DatagramSupport::NotKnown);
        assert!(java.concurrent_accepts() && !learn(1, "").concurrent_accepts());
        let emissary = learn(2, "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=x");
        assert_eq!(
            (emissary.dialect(), emissary.lookup_channel()),
            (Dialect::Emissary, LookupChannel::Session)
        );
        assert!(!emissary.early_data());
        assert!(emissary.max_payload(DatagramStyle::Datagram) < java.max_payload(DatagramStyle::Datagram));
        assert!(emissary.datagrams(DatagramStyle::Datagram));
        assert!(!emissary.datagrams(DatagramStyle::Datagram2));
        assert!(!emissary.datagrams(DatagramStyle::Datagram3));
        for (minor, modern) in [(1, false), (3, true)] {
            let i2pd = learn(minor, "NAMING REPLY RESULT=INVALID_KEY NAME=x");
            assert_eq!((i2pd.dialect(), i2pd.primary()), (Dialect::I2pd, Some(PrimaryWord::Master)));
            assert_eq!(i2pd.datagrams(DatagramStyle::Datagram2), modern);
            assert!(!i2pd.datagrams_beside_streams(DatagramStyle::Datagram));
            assert!(!i2pd.early_data() && !i2pd.concurrent_accepts());
        }
    }

    #[test]
    fn an_unknown_router_is_treated_as_specified() {
        for answer in ["NAMING REPLY RESULT=OK NAME=x VALUE=AA", "X STATUS RESULT=I2P_ERROR", ""] {
            assert_eq!(learn(3, answer).dialect(), Dialect::Standard, "{answer}");
        }
        assert_eq!(learn(1, "").primary(), None);
    }

    #[test]
    fn the_log_line_lists_what_the_router_can_do() {
        let line = learn(1, "NAMING REPLY RESULT=INVALID_KEY NAME=x").to_string();
        let expected =
            "SAM 3.1, dialect i2pd, datagrams 1 and raw, subsessions for streams, stream ports ignored";
        assert_eq!(line, expected);
    }
}
