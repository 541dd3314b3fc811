//! What a filter tells its caller: events, and the reason for ending a stream. Neither holds anything of what was said.

use core::{error::Error, fmt};

/// Something that a filter did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// What it was done to.
    pub subject: Subject,
}

impl Event {
    pub(crate) const fn removed(subject: Subject) -> Self {
        Self { action: Action::Removed, subject }
    }

    pub(crate) const fn replaced(subject: Subject) -> Self {
        Self { action: Action::Replaced, subject }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.subject)
    }
}

/// What a filter does to what it does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// The other side does not get it.
    Removed,
    /// The other side gets a text in place of it that says nothing of the user.
    Replaced,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "removed",
            Self::Replaced => "replaced",
        })
    }
}

/// Declares the subjects with the words that name them.
macro_rules! subjects {
    ($($(#[$doc:meta])* $name:ident = $words:literal,)*) => {
        /// What a filter removes or replaces. It is a kind, never a value, so it can be logged, counted and shown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Subject {
            $($(#[$doc])* $name,)*
        }

        impl Subject {
            /// All subjects.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The words that name it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

subjects! {
    /// The name of the user's account on this machine.
    UserName = "user name",
    /// The name of a person, as this machine knows it.
    RealName = "real name",
    /// The name of this machine.
    HostName = "host name",
    /// A text that programs fill in by themselves, such as the one with which a person leaves.
    FarewellText = "farewell text",
    /// A text by which a program measures a delay. Many hold the time of this machine.
    PingText = "text of a ping",
    /// A question to a program, or its answer.
    ProgramQuery = "question to a program, or its answer",
    /// An offer to connect to an address of this machine, or a request to connect to another one.
    DirectConnection = "offer of a direct connection",
    /// When a person types.
    Typing = "typing notification",
    /// A tag of a message that the filter does not know.
    UnknownTag = "unknown tag",
    /// A command that the filter does not know.
    UnknownCommand = "unknown command",
    /// An address of this machine or of another one, in a command.
    Address = "address in a command",
    /// Words that a command does not need.
    Words = "words after a command",
    /// A parameter that the filter does not know.
    UnknownParameter = "unknown parameter",
    /// A header field that the filter does not know.
    UnknownField = "unknown header field",
    /// The name of a program, and its version.
    Program = "name of a program",
    /// The time zone of this machine.
    TimeZone = "time zone",
    /// What a message is called. Most programs put the name of this machine into it.
    MessageId = "identifier of a message",
    /// A record of the way that a message has taken.
    Trace = "record of a message's way",
    /// A line that is not one of the protocol.
    Malformed = "malformed line",
    /// A capability of the server that the filter cannot look into.
    Capability = "capability",
    /// A way to log in that can name this machine or its user.
    LoginMechanism = "login mechanism",
    /// A request of the server to connect to another one.
    Redirect = "redirect to another server",
    /// The site from which a person comes.
    VisitedSite = "site that the person comes from",
    /// The language of a person, or what a person prefers.
    Preference = "preference of the person",
    /// The time of this machine.
    Clock = "time of the machine",
    /// Something by which a browser or this machine can be told from others.
    Trait = "trait of the browser or the machine",
    /// An address of this machine, in an announce to a tracker.
    AnnouncedAddress = "address in an announce",
    /// A request of the server to send reports to an address that it chooses.
    Report = "request for reports",
    /// What a program says about its connection, which the other end need not know.
    ConnectionOption = "option of the connection",
    /// Whether a person is there, and since when.
    Activity = "whether the person is there",
    /// Where the machine is.
    Location = "place of the machine",
    /// An element of XML that the filter does not know.
    UnknownElement = "unknown element",
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a filter ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// A line has no end within the limit of the protocol.
    LineTooLong {
        /// The limit in bytes, without the line's end.
        limit: usize,
    },
    /// A client sent more before the server had answered a command after which it has to wait. What that is depends on the answer.
    EarlyData,
    /// More commands than this wait for answers.
    TooManyCommands {
        /// The limit.
        limit: usize,
    },
    /// A client sends parts of a message whose bytes are no lines. No server offered that.
    Chunking,
    /// A command that does not pass announces bytes that are no line.
    Literal,
    /// The client speaks TLS where the filter expects the protocol in clear text. It could look at nothing.
    Tls,
    /// A line does not end with CR and LF, where nothing else is an end.
    LineEnd,
    /// A client of HTTP does not send requests of HTTP/1.1.
    NotHttp,
    /// A client begins with HTTP/2, which the filter does not know.
    Http2,
    /// The head of a request is too long.
    HeadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A head has too many fields.
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// A header field of a request is malformed: folded, with a blank before its colon, or with a control character.
    MalformedField,
    /// A request has no Host, several ones, or one that is no host or not that of its target.
    Host,
    /// The end of a body is ambiguous: two lengths, a length and a transfer coding, or another coding than `chunked`.
    AmbiguousLength,
    /// The chunks of a body are malformed.
    Chunks,
    /// What is sent is no SIP/2.0.
    NotSip,
    /// A body has no end within the limit.
    BodyTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// What is sent is no XML, or XML that XMPP forbids.
    Markup,
    /// A stanza has no end within the limit.
    StanzaTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The server answers what the client has not asked for.
    UnaskedAnswer,
    /// The head of an answer is malformed.
    MalformedAnswer,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong { limit } => write!(f, "a line is longer than {limit} bytes"),
            Self::EarlyData => {
                f.write_str("the client sent more before it had the answer that it has to wait for")
            }
            Self::TooManyCommands { limit } => write!(f, "more than {limit} commands wait for answers"),
            Self::Chunking => f.write_str(
                "the client sends a message in chunks, which the filter had left out of the capabilities",
            ),
            Self::Literal => f.write_str("a command that does not pass announces bytes that are no line"),
            Self::NotSip => f.write_str("what is sent is no SIP/2.0"),
            Self::BodyTooLong { limit } => write!(f, "a body is longer than {limit} bytes"),
            Self::Markup => f.write_str("what is sent is no XML, or XML that XMPP forbids"),
            Self::StanzaTooLong { limit } => write!(f, "a stanza is longer than {limit} bytes"),
            Self::Tls => f.write_str("the client speaks TLS, into which a filter cannot look"),
            Self::LineEnd => f.write_str("a line does not end with CR and LF"),
            Self::NotHttp => f.write_str("the client does not send requests of HTTP/1.1"),
            Self::Http2 => f.write_str("the client speaks HTTP/2, which the filter does not know"),
            Self::HeadTooLong { limit } => write!(f, "the head of a request is longer than {limit} bytes"),
            Self::TooManyFields { limit } => write!(f, "there are more than {limit} header fields"),
            Self::MalformedField => f.write_str("a header field of a request is malformed"),
            Self::Host => {
                f.write_str("a request needs exactly one Host, and that has to be the host of its target")
            }
            Self::AmbiguousLength => f.write_str("the length of a body is ambiguous"),
            Self::Chunks => f.write_str("the chunks of a body are malformed"),
            Self::UnaskedAnswer => f.write_str("the server answers what the client has not asked for"),
            Self::MalformedAnswer => f.write_str("the head of an answer is malformed"),
        }
    }
}

impl Error for Cut {}
