//! What a router's answer means.

use i2p_sam::{Error, Phase, ResultWord};

use crate::failure::Failure;

/// Why a session did not open a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// The session is gone, and another one may do better.
    SessionLost,
    /// The router has forgotten the session that it has not closed.
    SessionForgotten,
    /// As another one would.
    Failed(Failure),
}

impl Refusal {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::SessionLost => Self::SessionLost,
            Error::Refused { result: ResultWord::InvalidId, .. } => Self::SessionForgotten,
            error => Self::Failed(failure(error)),
        }
    }

    /// What the client is told when nothing else is tried.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::SessionLost | Self::SessionForgotten => Failure::RouterUnavailable,
            Self::Failed(failure) => failure,
        }
    }
}

/// What a router's answer means. MESSAGE decides nothing but which of the "not reached" codes a client sees.
pub(crate) fn failure(error: &Error) -> Failure {
    match error {
        Error::Refused { phase, result, message } => refused(*phase, result, message.as_deref()),
        Error::Timeout { phase: Phase::StreamConnect, .. } => Failure::TimedOut,
        Error::SessionLost | Error::Unreachable { .. } | Error::NotSam { .. } => Failure::RouterUnavailable,
        Error::Timeout { phase: Phase::Hello, .. } | Error::Closed { phase: Phase::Hello } => {
            Failure::RouterUnavailable
        }
        _ => Failure::RouterError,
    }
}

pub(crate) fn refused(phase: Phase, result: &ResultWord, message: Option<&str>) -> Failure {
    use ResultWord as Word;
    match (phase, result) {
        // i2pd says INVALID_KEY for every name it does not know.
        (Phase::NamingLookup, Word::KeyNotFound | Word::InvalidKey) => Failure::NameUnknown,
        (Phase::Hello, _) | (_, Word::InvalidId) => Failure::RouterUnavailable,
        // Java I2P says INVALID_KEY when the lease set of a base32 address is not found.
        (_, Word::LeasesetNotFound | Word::PeerNotFound | Word::KeyNotFound | Word::InvalidKey) => {
            Failure::Unreachable
        }
        (_, Word::Timeout) => Failure::TimedOut,
        (_, Word::ConnectionRefused) => Failure::Refused,
        (_, Word::CantReachPeer) => match message.map(str::to_ascii_lowercase) {
            Some(text) if text.contains("reset") || text.contains("refused") => Failure::Refused,
            Some(text) if text.contains("timed out") => Failure::TimedOut,
            // Java I2P's "Local router failure".
            Some(text) if text.contains("router failure") => Failure::RouterError,
            _ => Failure::Unreachable,
        },
        _ => Failure::RouterError,
    }
}
