use std::{fmt, io, time::Duration};

use crate::{
    address::BridgeAddress,
    wire::{Dialect, EncodeError, ResultWord, Status},
};

/// The longest word of a router's message that is logged. Hashes, destinations and keys are longer.
const MAX_LOGGED_WORD_BYTES: usize = 30;

/// The operation during which an error happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting to the bridge, and HELLO.
    Hello,
    /// Creating a session and its tunnels.
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
    /// Forwarding streams.
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
            Self::StreamForward => "forwarding streams",
            Self::Datagram => "exchanging datagrams",
        })
    }
}

/// Why an operation failed. No message repeats a name or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bridge is [undecided](crate::Bridge::undecided).
    #[error("no router has been found yet")]
    NotDecided,
    /// The connection to the bridge failed.
    #[error("no SAM bridge answers at {address}: {source}")]
    Unreachable {
        /// The bridge's address.
        address: BridgeAddress,
        /// The operating system's error.
        source: io::Error,
    },
    /// The program at the address is not a SAM bridge.
    #[error("the program at {address} does not speak SAM v3")]
    NotSam {
        /// The bridge's address.
        address: BridgeAddress,
    },
    /// The program at the address expects TLS: it answered HELLO with a TLS alert.
    #[error("the program at {address} expects TLS")]
    ExpectsTls {
        /// The bridge's address.
        address: BridgeAddress,
    },
    /// The bridge's address says that it expects TLS, and the program there answered without.
    #[error("the program at {address} does not speak TLS")]
    NoTls {
        /// The bridge's address.
        address: BridgeAddress,
    },
    /// The certificate of the bridge is not trusted. Nothing was sent.
    #[error("the certificate of the SAM bridge at {address} is not trusted: {why}")]
    Certificate {
        /// The bridge's address.
        address: BridgeAddress,
        /// Why not, with the fingerprint of the certificate.
        why: String,
    },
    /// The router did not answer within the limit.
    #[error("the router did not answer within {} s while {phase}", limit.as_secs())]
    Timeout {
        /// The operation that failed.
        phase: Phase,
        /// The limit that was reached.
        limit: Duration,
    },
    /// The program at the address closed the connection instead of answering HELLO. One end may speak TLS and the other not, or the
    /// router is stopping or starting.
    #[error("the program at {address} closed the connection instead of answering HELLO")]
    ClosedAtHello {
        /// The bridge's address.
        address: BridgeAddress,
    },
    /// The router closed the connection instead of answering.
    #[error("the router closed the connection while {phase}")]
    Closed {
        /// The operation that failed.
        phase: Phase,
    },
    /// The router refused.
    #[error("the router answered {result}{} while {phase}", message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// The operation that failed.
        phase: Phase,
        /// The router's result word.
        result: ResultWord,
        /// The router's message: printable, at most 200 characters. It may name the target.
        message: Option<String>,
    },
    /// The router answered with a line that is no answer to the command.
    #[error("the router sent an unexpected answer while {phase}")]
    Unexpected {
        /// The operation that failed.
        phase: Phase,
    },
    /// The router answered with a destination that cannot be the one that was asked for: its hash or its key is another.
    #[error("the router answered with another destination than the one that was asked for, while {phase}")]
    WrongDestination {
        /// The operation that failed.
        phase: Phase,
    },
    /// The session is gone: the router closed its control connection.
    #[error("the I2P session is gone: the connection to the router was lost")]
    SessionLost,
    /// This router does not support the operation.
    #[error("this router ({dialect}) does not support {what}")]
    Unsupported {
        /// What it does not support.
        what: &'static str,
        /// The router's dialect.
        dialect: Dialect,
    },
    /// The command cannot be written in this router's dialect.
    #[error("the command cannot be sent to this router: {0}")]
    Encode(#[from] EncodeError),
    /// The datagram is empty or too long for SAM.
    #[error("cannot send a datagram of {length} bytes; the router carries 1 to {limit}")]
    DatagramLength {
        /// Its length in bytes.
        length: usize,
        /// The longest, in bytes.
        limit: usize,
    },
    /// The bridge is on a Unix socket or expects TLS, and [`Bridge::with_udp_address`](crate::Bridge::with_udp_address) was not
    /// called.
    #[error("datagrams need the bridge's UDP address, which follows from a TCP address without TLS only")]
    NoUdpAddress,
    /// The UDP socket for datagrams failed.
    #[error("datagrams cannot be exchanged with the router: {0}")]
    Udp(io::Error),
    /// The operating system gave no random numbers for a session ID.
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Error {
    /// [`Error::Refused`] with the router's message made safe to print: no control characters, and at most 200 characters.
    pub(crate) fn refused(phase: Phase, status: Status<'_>) -> Self {
        let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect();
        Self::Refused { phase, result: status.result, message: status.message.as_deref().map(printable) }
    }

    /// The error for a log: without words of the router that may name a target or repeat a key.
    pub fn for_log(&self) -> impl fmt::Display + '_ {
        ForLog(self)
    }

    /// Whether the router could not be reached, rather than having refused. A router that is being restarted is worth another
    /// attempt soon.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::NotDecided
            | Self::Unreachable { .. }
            | Self::NotSam { .. }
            | Self::ExpectsTls { .. }
            | Self::NoTls { .. }
            | Self::Certificate { .. }
            | Self::ClosedAtHello { .. }
            | Self::SessionLost
            | Self::Closed { .. } => true,
            Self::Timeout { phase, .. } => *phase == Phase::Hello,
            _ => false,
        }
    }

    /// Whether the bridge is at fault, and not a session: no program is reached at its address, or not the expected one, or it refuses
    /// this client.
    #[must_use]
    pub fn is_of_bridge(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::NotSam { .. }
            | Self::ExpectsTls { .. }
            | Self::NoTls { .. }
            | Self::Certificate { .. }
            | Self::ClosedAtHello { .. } => true,
            Self::Closed { phase } | Self::Timeout { phase, .. } | Self::Refused { phase, .. } => {
                *phase == Phase::Hello
            }
            _ => false,
        }
    }

    /// Whether only another configuration helps: waiting does not.
    #[must_use]
    pub fn needs_other_configuration(&self) -> bool {
        matches!(
            self,
            Self::Refused { phase: Phase::Hello, .. }
                | Self::ExpectsTls { .. }
                | Self::NoTls { .. }
                | Self::Certificate { .. }
        )
    }

    /// Whether what listens at this address of a bridge may be a router's, although it cannot be used now. A router of the program's
    /// own would run beside that router. A program that is silent counts only if TLS is spoken to it: a bridge without TLS waits for the
    /// end of a line then.
    #[must_use]
    pub fn may_be_of_router_at(&self, address: &BridgeAddress) -> bool {
        match self {
            Self::ClosedAtHello { .. } | Self::Closed { phase: Phase::Hello } => true,
            Self::Timeout { phase: Phase::Hello, .. } => address.expects_tls(),
            _ => self.needs_other_configuration(),
        }
    }
}

/// See [`Error::for_log`].
struct ForLog<'a>(&'a Error);

impl fmt::Display for ForLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error::Refused { phase, result, message } = self.0 else { return self.0.fmt(f) };
        match result {
            // Not a word of the specification.
            ResultWord::Other(_) => f.write_str("the router answered with an unknown result")?,
            result => write!(f, "the router answered {result}")?,
        }
        let names_no_target = matches!(phase, Phase::Hello | Phase::SessionCreate | Phase::SessionAdd);
        if let (true, Some(message)) = (names_no_target, message) {
            let words: Vec<_> = message.split(' ').map(scrubbed).collect();
            write!(f, " ({})", words.join(" "))?;
        }
        write!(f, " while {phase}")
    }
}

/// A word of a message, unless it may be a name, a destination or a key.
fn scrubbed(word: &str) -> &str {
    if word.len() > MAX_LOGGED_WORD_BYTES || word.contains(".i2p") { "[scrubbed]" } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_the_routers_words_without_names_and_keys() {
        let refused = |phase, result, message: &str| {
            let error = Error::Refused { phase, result, message: Some(message.to_owned()) };
            error.for_log().to_string()
        };
        let long = "A".repeat(52);
        for (phase, message, expected) in [
            (
                Phase::SessionCreate,
                "no tunnels",
                "the router answered I2P_ERROR (no tunnels) while creating a session",
            ),
            (
                Phase::SessionCreate,
                &format!("{long} of a.i2p is in use"),
                "the router answered I2P_ERROR ([scrubbed] of [scrubbed] is in use) while creating a session",
            ),
            (
                Phase::StreamConnect,
                "Host name not found: a",
                "the router answered I2P_ERROR while connecting a stream",
            ),
        ] {
            assert_eq!(refused(phase, ResultWord::I2pError, message), expected);
        }
        let other = refused(Phase::NamingLookup, ResultWord::Other("a.i2p".into()), "a.i2p");
        assert_eq!(other, "the router answered with an unknown result while looking up a name");
        assert_eq!(Error::SessionLost.for_log().to_string(), Error::SessionLost.to_string());
    }
}
