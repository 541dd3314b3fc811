use std::{fmt, io, time::Duration};

use crate::wire::{Dialect, ResultWord, Unspeakable};

/// What was being done when something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting to the bridge and saying HELLO.
    Hello,
    /// Creating a session, its tunnels included.
    SessionCreate,
    /// Adding a subsession.
    SessionAdd,
    /// Looking up a name.
    NamingLookup,
    /// Making keys.
    DestGenerate,
    /// Connecting a stream.
    StreamConnect,
    /// Accepting a stream.
    StreamAccept,
    /// Having streams forwarded.
    StreamForward,
    /// Sending or receiving a datagram.
    Datagram,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "saying HELLO",
            Self::SessionCreate => "creating a session",
            Self::SessionAdd => "adding a subsession",
            Self::NamingLookup => "looking up a name",
            Self::DestGenerate => "making keys",
            Self::StreamConnect => "connecting a stream",
            Self::StreamAccept => "accepting a stream",
            Self::StreamForward => "having streams forwarded",
            Self::Datagram => "passing on a datagram",
        })
    }
}

/// Why something could not be done. No text repeats a name or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No TCP connection to the bridge.
    #[error("no SAM bridge answers at {address}: {source}")]
    Unreachable {
        /// The bridge's address.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// What answers is not a SAM bridge.
    #[error("what answers at {address} does not speak SAM v3")]
    NotSam {
        /// The bridge's address.
        address: String,
    },
    /// The router did not answer within the limit.
    #[error("the router did not answer within {} s while {phase}", limit.as_secs())]
    Timeout {
        /// What was being done.
        phase: Phase,
        /// The limit that was reached.
        limit: Duration,
    },
    /// The router closed the connection instead of answering.
    #[error("the router closed the connection while {phase}")]
    Closed {
        /// What was being done.
        phase: Phase,
    },
    /// The router answered with something else than success.
    #[error("the router answered {result}{} while {phase}", message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// What was being done.
        phase: Phase,
        /// The router's word.
        result: ResultWord,
        /// The router's text. Printable, at most 200 characters; may name the target when the router does.
        message: Option<String>,
    },
    /// The router answered with a line that makes no sense here.
    #[error("the router's answer makes no sense while {phase}")]
    Unexpected {
        /// What was being done.
        phase: Phase,
    },
    /// The session is gone: its control connection was lost.
    #[error("the I2P session is gone: the connection to the router was lost")]
    SessionLost,
    /// This router has no such thing.
    #[error("this router ({dialect}) has no {what}")]
    Unsupported {
        /// What was asked of it.
        what: &'static str,
        /// Which router it is.
        dialect: Dialect,
    },
    /// This router has no words for the command.
    #[error("the router cannot be told: {0}")]
    Unspeakable(#[from] Unspeakable),
    /// A datagram that SAM does not carry: empty, or too long.
    #[error("a datagram of {length} bytes cannot be sent: 1 to {limit} can")]
    DatagramLength {
        /// Its length in bytes.
        length: usize,
        /// The longest, in bytes.
        limit: usize,
    },
    /// The UDP socket for datagrams.
    #[error("datagrams cannot be exchanged with the router: {0}")]
    Udp(io::Error),
    /// The operating system has no randomness for a session ID.
    #[error("no random numbers from the operating system: {0}")]
    Random(getrandom::Error),
}

impl Error {
    /// [`Error::Refused`] with the router's text made safe to print: no control characters, at most 200 of them.
    pub(crate) fn refused(phase: Phase, status: crate::wire::Status<'_>) -> Self {
        let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect();
        Self::Refused { phase, result: status.result, message: status.message.as_deref().map(printable) }
    }

    /// Whether the router itself cannot be reached, as against being reached and refusing: a router that is being restarted
    /// is worth asking again soon.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotSam { .. } | Self::SessionLost | Self::Closed { .. } => true,
            Self::Timeout { phase, .. } => *phase == Phase::Hello,
            _ => false,
        }
    }
}
