//! The options of a session's lease set, in which routers differ.

use std::fmt;

use super::{dialect::Dialect, result::Version};

/// How a router reads the options of a lease set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseSetDialect {
    /// The encryption types that it may be sent.
    pub encryption: LeaseSetEncryption,
    /// How it decides whether a lease set is published.
    pub publication: LeaseSetPublication,
}

impl LeaseSetDialect {
    /// The dialect of a router, by the SAM version that it answers and the dialect of its lines.
    #[must_use]
    pub fn of_router(version: Option<Version>, dialect: Dialect) -> Self {
        Self {
            encryption: LeaseSetEncryption::of_router(version, dialect),
            publication: LeaseSetPublication::of_router(version, dialect),
        }
    }
}

/// The encryption types of a session's lease set (`i2cp.leaseSetEncType`), the preferred one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseSetEncryption {
    /// ML-KEM-768 with X25519 (6), and X25519 alone (4). Recorded traffic stays secret from quantum computers, if the far end
    /// supports ML-KEM too. A Java I2P that does not know 6 refuses the session.
    PostQuantum,
    /// X25519 (4), and ElGamal (0) for far ends of before 2020. For routers that may not know 6: i2pd 2.45 and 2.56 crash when a
    /// list begins with it.
    Classic,
}

impl LeaseSetEncryption {
    /// What a router supports, by the SAM version that it answers and the dialect of its lines.
    ///
    /// i2pd with SAM 3.3 (2.58 and later) accepts 6, and so does emissary, which alone answers 3.2. A Java I2P with SAM 3.3 accepts or
    /// refuses it. A router that answers less, or whose version is unknown, is never sent 6.
    #[must_use]
    pub fn of_router(version: Option<Version>, dialect: Dialect) -> Self {
        match (version, dialect) {
            (Some(Version { major: 3, minor: 3.. }), _)
            | (Some(Version { major: 3, minor: 2 }), Dialect::Emissary) => Self::PostQuantum,
            _ => Self::Classic,
        }
    }
}

impl LeaseSetEncryption {
    /// Whether an answer to SESSION CREATE means that the router does not know an encryption type. Java I2P 2.7.0 ends such a message
    /// with `Unsupported crypto type: 6`.
    pub(crate) fn is_unknown(answer: &[u8]) -> bool {
        const WORDS: &[u8] = b"Unsupported crypto type";
        answer.starts_with(b"SESSION STATUS RESULT=I2P_ERROR")
            && answer.windows(WORDS.len()).any(|part| part == WORDS)
    }
}

/// The value of the option.
impl fmt::Display for LeaseSetEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PostQuantum => "6,4",
            Self::Classic => "4,0",
        })
    }
}

/// How a router decides whether a session's lease set is published (`i2cp.dontPublishLeaseSet`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseSetPublication {
    /// The option hides the lease set when it is true.
    AsSpecified,
    /// The option hides the lease set when it is false. Without the option the lease set is published.
    Inverted,
}

impl LeaseSetPublication {
    /// How a router decides, by the SAM version that it answers and the dialect of its lines.
    ///
    /// i2pd with SAM 3.3 takes the option's value for its opposite: 2.58 and the development version of December 2025 by their
    /// sources, 2.59 as `cargo xtask sam-routers` measures.
    #[must_use]
    pub fn of_router(version: Option<Version>, dialect: Dialect) -> Self {
        match (version, dialect) {
            (Some(Version { major: 3, minor: 3.. }), Dialect::I2pd) => Self::Inverted,
            _ => Self::AsSpecified,
        }
    }

    /// The value of the option for a session, or `None` if the option is left out.
    #[must_use]
    pub fn value(self, published: bool) -> Option<bool> {
        match (self, published) {
            (Self::AsSpecified, published) => Some(!published),
            // Left out rather than true, so that it is also right for an i2pd that reads the option as specified.
            (Self::Inverted, true) => None,
            (Self::Inverted, false) => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn version(minor: u8) -> Option<Version> {
        Some(Version { major: 3, minor })
    }

    #[test]
    fn only_routers_that_are_known_to_support_it_are_sent_post_quantum_encryption() {
        for (version, dialect, expected) in [
            (version(1), Dialect::I2pd, "4,0"),
            (version(3), Dialect::I2pd, "6,4"),
            (version(3), Dialect::Standard, "6,4"),
            (version(2), Dialect::Emissary, "6,4"),
            // Learned of another router than the one that answers now.
            (version(1), Dialect::Emissary, "4,0"),
            (version(1), Dialect::Standard, "4,0"),
            (version(2), Dialect::Standard, "4,0"),
            (None, Dialect::Emissary, "4,0"),
            (Some(Version { major: 4, minor: 0 }), Dialect::Standard, "4,0"),
        ] {
            let encryption = LeaseSetEncryption::of_router(version, dialect);
            assert_eq!(encryption.to_string(), expected, "{version:?} {dialect}");
        }
    }

    #[test]
    fn only_a_recent_i2pd_takes_the_option_for_its_opposite() {
        for (version, dialect, published, hidden) in [
            (version(1), Dialect::I2pd, Some(false), Some(true)),
            (version(3), Dialect::I2pd, None, Some(false)),
            (version(3), Dialect::Standard, Some(false), Some(true)),
            (version(2), Dialect::Emissary, Some(false), Some(true)),
            (None, Dialect::Standard, Some(false), Some(true)),
        ] {
            let publication = LeaseSetPublication::of_router(version, dialect);
            assert_eq!(publication.value(true), published, "{version:?} {dialect}");
            assert_eq!(publication.value(false), hidden, "{version:?} {dialect}");
        }
    }
}
