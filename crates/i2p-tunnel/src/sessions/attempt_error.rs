//! Maps the router's answers to failures.

use i2p_sam::{Error, Phase, ResultWord};

use crate::failure::Failure;

/// Why an attempt on a session failed, and whether another session may succeed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttemptError {
    /// The session was lost. A new one may succeed.
    SessionLost,
    /// The router does not know the session any more, although its control connection is open. A new one may succeed.
    SessionForgotten,
    /// The request failed. Another session would not change that.
    Failed(Failure),
}

impl AttemptError {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::SessionLost => Self::SessionLost,
            Error::Refused { result: ResultWord::InvalidId, .. } => Self::SessionForgotten,
            error => Self::Failed(failure_of(error)),
        }
    }

    /// The failure of the request if no other session is tried.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::SessionLost | Self::SessionForgotten => Failure::RouterUnavailable,
            Self::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Maps an error to a failure. The free text in MESSAGE only selects among the failures to reach a destination.
pub(crate) fn failure_of(error: &Error) -> Failure {
    match error {
        Error::Refused { phase, result, message } => failure_of_answer(*phase, result, message.as_deref()),
        Error::Timeout { phase: Phase::StreamConnect, .. } => Failure::TimedOut,
        Error::WrongDestination { .. } => Failure::WrongDestination,
        Error::SessionLost
        | Error::NotDecided
        | Error::Unreachable { .. }
        | Error::NotSam { .. }
        | Error::ExpectsTls { .. }
        | Error::NoTls { .. }
        | Error::Certificate { .. }
        | Error::ClosedAtHello { .. } => Failure::RouterUnavailable,
        Error::Timeout { phase: Phase::Hello, .. } | Error::Closed { phase: Phase::Hello } => {
            Failure::RouterUnavailable
        }
        _ => Failure::RouterError,
    }
}

/// Maps an error of a session that is open to a failure: its datagrams and incoming streams have no reason but that it is lost.
pub(crate) fn failure_of_session(error: &Error) -> Failure {
    match error {
        Error::SessionLost => Failure::RouterUnavailable,
        _ => Failure::RouterError,
    }
}

/// Maps the RESULT and MESSAGE of an answer to a failure.
pub(crate) fn failure_of_answer(phase: Phase, result: &ResultWord, message: Option<&str>) -> Failure {
    use ResultWord as Word;
    match (phase, result) {
        // i2pd answers INVALID_KEY for every unknown name.
        (Phase::NamingLookup, Word::KeyNotFound | Word::InvalidKey) => Failure::NameUnknown,
        (Phase::Hello, _) | (_, Word::InvalidId) => Failure::RouterUnavailable,
        // Java I2P answers INVALID_KEY if the lease set of a base32 address is not found.
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
