use std::{borrow::Cow, fmt};

use super::line::Line;

/// A version of the protocol, such as 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The digit before the dot.
    pub major: u8,
    /// The number after it.
    pub minor: u8,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The value of `RESULT=`. The spellings that routers use for one result are one variant; an undocumented word is
/// kept as [`ResultWord::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultWord {
    /// Success.
    Ok,
    /// The peer exists but cannot be reached; i2pd and emissary also use it when its lease set is not found.
    CantReachPeer,
    /// The peer refused (Java I2P, undocumented).
    ConnectionRefused,
    /// The destination is in use by another session.
    DuplicatedDest,
    /// The session ID is in use.
    DuplicatedId,
    /// A generic error.
    I2pError,
    /// No such session.
    InvalidId,
    /// A malformed key, an unknown name (i2pd), or a lease set that was not found (Java I2P).
    InvalidKey,
    /// The name is not known.
    KeyNotFound,
    /// No lease set.
    LeasesetNotFound,
    /// No version in common.
    NoVersion,
    /// The peer is not on the network.
    PeerNotFound,
    /// There was no answer in time.
    Timeout,
    /// Any other word, reduced to at most 32 letters, digits and underscores.
    Other(String),
}

impl ResultWord {
    fn parse(word: &str) -> Self {
        match word {
            "OK" => Self::Ok,
            "CANT_REACH_PEER" => Self::CantReachPeer,
            "CONNECTION_REFUSED" => Self::ConnectionRefused,
            // The second spelling is emissary's.
            "DUPLICATED_DEST" | "DUPLICATE_DEST" => Self::DuplicatedDest,
            "DUPLICATED_ID" | "DUPLICATE_ID" => Self::DuplicatedId,
            "I2P_ERROR" => Self::I2pError,
            "INVALID_ID" => Self::InvalidId,
            "INVALID_KEY" => Self::InvalidKey,
            "KEY_NOT_FOUND" => Self::KeyNotFound,
            "LEASESET_NOT_FOUND" => Self::LeasesetNotFound,
            "NOVERSION" => Self::NoVersion,
            "PEER_NOT_FOUND" => Self::PeerNotFound,
            "TIMEOUT" => Self::Timeout,
            other => {
                let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                Self::Other(other.chars().filter(plain).take(32).collect())
            }
        }
    }
}

impl fmt::Display for ResultWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::CantReachPeer => "CANT_REACH_PEER",
            Self::ConnectionRefused => "CONNECTION_REFUSED",
            Self::DuplicatedDest => "DUPLICATED_DEST",
            Self::DuplicatedId => "DUPLICATED_ID",
            Self::I2pError => "I2P_ERROR",
            Self::InvalidId => "INVALID_ID",
            Self::InvalidKey => "INVALID_KEY",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::LeasesetNotFound => "LEASESET_NOT_FOUND",
            Self::NoVersion => "NOVERSION",
            Self::PeerNotFound => "PEER_NOT_FOUND",
            Self::Timeout => "TIMEOUT",
            Self::Other(word) => word,
        })
    }
}

/// The result that every reply holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<'a> {
    /// `RESULT`. A `DEST REPLY` has none on success, which is read as [`ResultWord::Ok`].
    pub result: ResultWord,
    /// `MESSAGE`, if there is one, with escapes decoded. For people to read: no decision depends on it.
    pub message: Option<Cow<'a, str>>,
}

impl<'a> Status<'a> {
    pub(super) fn in_line(line: &Line<'a>) -> Self {
        let result = line.value("RESULT").as_deref().map_or(ResultWord::Ok, ResultWord::parse);
        Self { result, message: line.value("MESSAGE") }
    }
}
