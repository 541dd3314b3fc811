//! What each router is expected to do where routers differ: data, from what the bridge's answers told of it.

use std::fmt;

use i2p_sam::{Capabilities, DatagramStyle, Dialect, Error, ResultWord};

/// A way to be told no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// [`Error::Refused`] with this word.
    Word(ResultWord),
    /// [`Error::Closed`]: no answer, the connection ends.
    Closed,
}

impl Refusal {
    /// Whether `error` is this one.
    pub(crate) fn is(&self, error: &Error) -> bool {
        match (self, error) {
            (Self::Word(word), Error::Refused { result, .. }) => word == result,
            (Self::Closed, Error::Closed { .. }) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => word.fmt(f),
            Self::Closed => f.write_str("a close without a word"),
        }
    }
}

/// What becomes of a stream to a session that accepts none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unaccepted {
    /// It is refused.
    Refused(Refusal),
    /// It is granted, and ends.
    GrantedAndEnded,
    /// It is granted, and nothing comes of it for minutes.
    GrantedAndSilent,
}

/// What happens to a second session with the keys of one that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecondSession {
    Refused(Refusal),
    /// Both are the same destination.
    Granted,
    /// Both are the same destination, and the router may crash some seconds after they were closed ("pure virtual method
    /// called"): not to be asked for.
    GrantedAtARisk,
}

/// Whether a session for datagrams of a kind can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Yes,
    /// The version does not tell: opened, or refused at once.
    Perhaps,
    No,
}

/// The table.
pub(crate) struct Expected {
    /// Lookup of a host name, or base32 address, that nobody has.
    pub(crate) lookup_unknown: Refusal,
    /// Streams to a host name that is in no address book: any of these, since versions differ.
    pub(crate) connect_unknown_name: &'static [Refusal],
    /// To a base32 address of nobody.
    pub(crate) connect_unknown_b32: Refusal,
    /// To a destination of nobody.
    pub(crate) connect_nobody: Refusal,
    pub(crate) unaccepted: Unaccepted,
    pub(crate) second_session: SecondSession,
    /// Whether a DATAGRAM3 comes with the destination of its sender, in the place of its hash.
    pub(crate) datagram3_says_destination: bool,
    /// Bytes of the shortest raw datagram that arrives.
    pub(crate) smallest_raw: usize,
    /// Whether STREAM ACCEPT says the ports.
    pub(crate) accept_says_ports: bool,
    /// Whether names can be looked up without a session, base32 addresses among them.
    pub(crate) lookups_anywhere: bool,
}

impl Expected {
    /// The rows of this router.
    pub(crate) fn of(capabilities: Capabilities) -> Self {
        use Refusal::{Closed, Word};
        use ResultWord::{CantReachPeer, DuplicatedDest, I2pError, InvalidKey, KeyNotFound};
        const INVALID_KEY: &[Refusal] = &[Word(InvalidKey)];
        match capabilities.dialect() {
            Dialect::I2pd => Self {
                lookup_unknown: Word(InvalidKey),
                connect_unknown_name: INVALID_KEY,
                connect_unknown_b32: Word(CantReachPeer),
                connect_nobody: Word(CantReachPeer),
                unaccepted: Unaccepted::GrantedAndEnded,
                // 2.45, which says 3.1, was seen to crash.
                second_session: match capabilities.version().minor {
                    ..=1 => SecondSession::GrantedAtARisk,
                    _ => SecondSession::Granted,
                },
                datagram3_says_destination: true,
                smallest_raw: 3,
                accept_says_ports: false,
                lookups_anywhere: true,
            },
            Dialect::Emissary => Self {
                lookup_unknown: Word(KeyNotFound),
                // 0.4.0 closes; its later versions have a word.
                connect_unknown_name: &[Closed, Word(I2pError)],
                connect_unknown_b32: Word(CantReachPeer),
                connect_nobody: Word(CantReachPeer),
                unaccepted: Unaccepted::GrantedAndSilent,
                second_session: SecondSession::Refused(Word(DuplicatedDest)),
                datagram3_says_destination: false,
                smallest_raw: 1,
                accept_says_ports: false,
                lookups_anywhere: false,
            },
            // Java I2P, and whatever is built after the specification.
            _ => Self {
                lookup_unknown: Word(KeyNotFound),
                connect_unknown_name: INVALID_KEY,
                connect_unknown_b32: Word(InvalidKey),
                connect_nobody: Word(CantReachPeer),
                unaccepted: Unaccepted::Refused(Word(CantReachPeer)),
                second_session: SecondSession::Refused(Word(DuplicatedDest)),
                datagram3_says_destination: false,
                smallest_raw: 1,
                accept_says_ports: capabilities.version().minor >= 2,
                lookups_anywhere: true,
            },
        }
    }
}

/// Whether a session for such datagrams can be opened.
pub(crate) fn claim(capabilities: Capabilities, style: DatagramStyle) -> Claim {
    let newer = matches!(style, DatagramStyle::Datagram2 | DatagramStyle::Datagram3);
    match (capabilities.datagrams(style), capabilities.dialect()) {
        (false, _) => Claim::No,
        (true, Dialect::Standard) if newer => Claim::Perhaps,
        (true, _) => Claim::Yes,
    }
}
