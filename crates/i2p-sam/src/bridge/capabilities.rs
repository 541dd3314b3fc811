use std::fmt;

use crate::wire::{DatagramStyle, Dialect, PrimaryWord, Reply, ResultWord, Version};

/// emissary 0.4 reads 8,192 bytes of what comes to its UDP port, and sends on what it has read: a longer datagram arrives cut
/// off. The line before the payload takes some 600 of them, more where the destination is an unusual one.
const EMISSARY_MAX_PAYLOAD: usize = 7_168;

/// What a bridge can do, as far as its answers tell: which version it speaks, and whose it is.
///
/// A bridge says its version and nothing else of itself. Which router it belongs to shows in its answer to the lookup of a
/// name that nobody has: i2pd calls that `INVALID_KEY`, the others `KEY_NOT_FOUND`; emissary alone answers 3.2 to
/// who knows 3.3. What is not known of a router is taken to be as the specification has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    version: Version,
    dialect: Dialect,
}

/// Where a name can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookups {
    /// On a connection of their own, as many at once as one likes: a slow one holds up nothing.
    Anywhere,
    /// On the control connection of a session, one after the other: emissary answers nowhere else, and loses one of two
    /// that are under way.
    OnSession,
}

impl Capabilities {
    /// What this version, and this answer to the lookup of a name that nobody has, tell.
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

    /// The version that the bridge chose out of 3.1 to 3.3.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How it reads lines.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What it calls a session with subsessions, if it has any.
    #[must_use]
    pub fn primary(&self) -> Option<PrimaryWord> {
        match self.dialect {
            Dialect::I2pd => Some(PrimaryWord::Master),
            Dialect::Emissary => Some(PrimaryWord::Primary),
            Dialect::Standard => (self.version.minor >= 3).then_some(PrimaryWord::Primary),
        }
    }

    /// Whether it knows datagrams of this kind. Java I2P is believed to know all: its version does not tell, and what it
    /// does not know it refuses at once.
    #[must_use]
    pub fn datagrams(&self, style: DatagramStyle) -> bool {
        match (self.dialect, style) {
            (_, DatagramStyle::Datagram | DatagramStyle::Raw { .. }) | (Dialect::Standard, _) => true,
            // i2pd learned both, and to say 3.3, between 2.45 and 2.58.
            (Dialect::I2pd, _) => self.version.minor >= 3,
            // emissary opens sessions for DATAGRAM2 and delivers none of them: one that comes in ends its SAM server (0.4.0).
            (Dialect::Emissary, _) => false,
        }
    }

    /// The longest payload of a datagram of this kind, in bytes, that arrives as it was sent.
    #[must_use]
    pub fn max_payload(&self, style: DatagramStyle) -> usize {
        match self.dialect {
            Dialect::Emissary => EMISSARY_MAX_PAYLOAD,
            Dialect::Standard | Dialect::I2pd => style.max_payload(),
        }
    }

    /// Whether such datagrams can come and go on the same destination as streams, as a subsession.
    #[must_use]
    pub fn datagrams_beside_streams(&self, style: DatagramStyle) -> bool {
        // i2pd's subsessions are for streams only.
        self.dialect != Dialect::I2pd && self.primary().is_some() && self.datagrams(style)
    }

    /// Whether the I2CP ports of a stream are carried.
    #[must_use]
    pub fn stream_ports(&self) -> bool {
        self.dialect != Dialect::I2pd
    }

    /// Whether the I2CP ports of datagrams are carried.
    #[must_use]
    pub fn datagram_ports(&self) -> bool {
        self.dialect == Dialect::Standard
    }

    /// Whether the first bytes of a stream can go with the packet that connects it
    /// ([`SessionOptions::early_data`](crate::SessionOptions::early_data)): Java I2P alone can be asked for that.
    #[must_use]
    pub fn early_data(&self) -> bool {
        self.dialect == Dialect::Standard
    }

    /// Whether a stream that was granted has been answered by the far end, where no early data was asked for. i2pd grants it
    /// when it is on its way.
    #[must_use]
    pub fn connects_for_real(&self) -> bool {
        self.dialect != Dialect::I2pd
    }

    pub(crate) fn lookups(&self) -> Lookups {
        match self.dialect {
            Dialect::Emissary => Lookups::OnSession,
            Dialect::Standard | Dialect::I2pd => Lookups::Anywhere,
        }
    }

    /// Whether a subsession can be taken away alone. emissary ignores the command; to i2pd it is an unknown one, which ends
    /// the connection and all on it.
    pub(crate) fn removes_subsessions(&self) -> bool {
        self.dialect == Dialect::Standard
    }
}

/// For the log: one line that says all that was learned.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |style, word| if self.datagrams(style) { word } else { "" };
        write!(
            f,
            "SAM {}, dialect {}, datagrams 1{}{} and raw, subsessions {}, stream ports {}",
            self.version,
            self.dialect,
            known(DatagramStyle::Datagram2, " 2"),
            known(DatagramStyle::Datagram3, " 3"),
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
    fn each_router_is_known_by_its_answers() {
        let java = learn(3, "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=x");
        assert_eq!((java.dialect(), java.primary()), (Dialect::Standard, Some(PrimaryWord::Primary)));
        assert!(java.early_data());
        let emissary = learn(2, "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=x");
        assert_eq!((emissary.dialect(), emissary.lookups()), (Dialect::Emissary, Lookups::OnSession));
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
            assert!(!i2pd.early_data());
        }
    }

    #[test]
    fn what_is_not_known_is_as_the_specification_has_it() {
        for answer in ["NAMING REPLY RESULT=OK NAME=x VALUE=AA", "X STATUS RESULT=I2P_ERROR", ""] {
            assert_eq!(learn(3, answer).dialect(), Dialect::Standard, "{answer}");
        }
        assert_eq!(learn(1, "").primary(), None);
    }

    #[test]
    fn the_log_line_says_it_all() {
        let line = learn(1, "NAMING REPLY RESULT=INVALID_KEY NAME=x").to_string();
        let expected =
            "SAM 3.1, dialect i2pd, datagrams 1 and raw, subsessions for streams, stream ports ignored";
        assert_eq!(line, expected);
    }
}
