//! What each router is expected to do where routers differ. It is data, chosen by the bridge's capabilities.

use std::fmt;

use i2p_sam::{Capabilities, DatagramStyle, DatagramSupport, Dialect, Error, ResultWord};

/// How a router refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpectedRefusal {
    /// With [`Error::Refused`] and this word.
    Word(ResultWord),
    /// With [`Error::Closed`]: it ends the connection without an answer.
    Closed,
}

impl ExpectedRefusal {
    /// Whether `error` is this refusal.
    pub(crate) fn is(&self, error: &Error) -> bool {
        match (self, error) {
            (Self::Word(word), Error::Refused { result, .. }) => word == result,
            (Self::Closed, Error::Closed { .. }) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ExpectedRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => word.fmt(f),
            Self::Closed => f.write_str("the connection closed without an answer"),
        }
    }
}

/// What happens to a stream to a session that accepts none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unaccepted {
    /// It is refused.
    Refused(ExpectedRefusal),
    /// It is reported as connected, and ends.
    ConnectedAndEnded,
    /// It is reported as connected, and stays silent for minutes.
    ConnectedAndSilent,
}

/// What happens to a second session with the keys of one that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecondSession {
    Refused(ExpectedRefusal),
    /// It is created: both have one destination.
    Created,
    /// It is created, and the router may crash some seconds after both were closed ("pure virtual method called"). The suite
    /// does not try it.
    CreatedButMayCrash,
}

/// Whether a router supports datagrams of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StyleSupport {
    Yes,
    /// Its version does not tell. A session for them is opened, or refused at once.
    Perhaps,
    No,
}

/// What is expected of a router.
pub(crate) struct Expected {
    /// The lookup of an unknown host name or base32 address.
    pub(crate) lookup_unknown: ExpectedRefusal,
    /// A stream to an unknown host name: any of these, since versions differ.
    pub(crate) connect_unknown_name: &'static [ExpectedRefusal],
    /// A stream to an unknown base32 address.
    pub(crate) connect_unknown_b32: ExpectedRefusal,
    /// A stream to an unknown destination.
    pub(crate) connect_unknown_destination: ExpectedRefusal,
    pub(crate) unaccepted: Unaccepted,
    pub(crate) second_session: SecondSession,
    /// The shortest raw datagram that arrives, in bytes.
    pub(crate) min_raw_bytes: usize,
    /// Whether an acceptor is told the ports.
    pub(crate) accept_reports_ports: bool,
    /// Whether names and base32 addresses can be looked up without a session.
    pub(crate) lookups_without_session: bool,
}

impl Expected {
    /// What is expected of a router with these capabilities.
    pub(crate) fn of(capabilities: Capabilities) -> Self {
        use ExpectedRefusal::{Closed, Word};
        use ResultWord::{CantReachPeer, DuplicatedDest, I2pError, InvalidKey, KeyNotFound};
        const INVALID_KEY: &[ExpectedRefusal] = &[Word(InvalidKey)];
        match capabilities.dialect() {
            Dialect::I2pd => Self {
                lookup_unknown: Word(InvalidKey),
                connect_unknown_name: INVALID_KEY,
                connect_unknown_b32: Word(CantReachPeer),
                connect_unknown_destination: Word(CantReachPeer),
                unaccepted: Unaccepted::ConnectedAndEnded,
                // 2.45, which reports version 3.1, was seen to crash.
                second_session: match capabilities.version().minor {
                    ..=1 => SecondSession::CreatedButMayCrash,
                    _ => SecondSession::Created,
                },
                min_raw_bytes: 3,
                accept_reports_ports: false,
                lookups_without_session: true,
            },
            Dialect::Emissary => Self {
                lookup_unknown: Word(KeyNotFound),
                // 0.4.0 closes; later versions answer.
                connect_unknown_name: &[Closed, Word(I2pError)],
                connect_unknown_b32: Word(CantReachPeer),
                connect_unknown_destination: Word(CantReachPeer),
                unaccepted: Unaccepted::ConnectedAndSilent,
                second_session: SecondSession::Refused(Word(DuplicatedDest)),
                min_raw_bytes: 1,
                accept_reports_ports: false,
                lookups_without_session: false,
            },
            // Java I2P, and every router that follows the specification.
            _ => Self {
                lookup_unknown: Word(KeyNotFound),
                connect_unknown_name: INVALID_KEY,
                connect_unknown_b32: Word(InvalidKey),
                connect_unknown_destination: Word(CantReachPeer),
                unaccepted: Unaccepted::Refused(Word(CantReachPeer)),
                second_session: SecondSession::Refused(Word(DuplicatedDest)),
                min_raw_bytes: 1,
                accept_reports_ports: capabilities.version().minor >= 2,
                lookups_without_session: true,
            },
        }
    }
}

/// Whether a router with these capabilities supports datagrams of this kind.
pub(crate) fn style_support(capabilities: Capabilities, style: DatagramStyle) -> StyleSupport {
    match capabilities.datagram_support(style) {
        DatagramSupport::Supported => StyleSupport::Yes,
        DatagramSupport::NotKnown => StyleSupport::Perhaps,
        DatagramSupport::Unsupported => StyleSupport::No,
    }
}
