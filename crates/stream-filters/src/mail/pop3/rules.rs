//! What passes in POP3. A command or a capability that is not here does not.

use crate::rule::Entry;

/// What the client's commands become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// It passes, and gets an answer of a line.
    Pass,
    /// It passes, and gets an answer of many lines, if it has at most this many words.
    Text {
        /// With more, the answer is a line.
        most_words: usize,
    },
    /// The answer lists the capabilities.
    Capabilities,
    /// Mechanisms that are not known are refused.
    Authenticate,
    /// Both ends go over to TLS.
    StartTls,
}

/// What the server's capabilities become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capability {
    /// It passes.
    Pass,
    /// Without mechanisms that are not known.
    Mechanisms,
}

/// The commands of the client.
pub(super) const COMMANDS: &[Entry<Command>] = &[
    Entry::same(
        Command::Pass,
        &["USER", "PASS", "APOP"],
        "The person chooses the name and the password.",
        "USER anon",
    ),
    Entry::new(
        Command::Authenticate,
        &["AUTH"],
        "Mechanisms that the filter does not know, such as those of Windows and Kerberos, can name the machine. The server refuses what is left.",
        ["AUTH NTLM", "REFUSED"],
    ),
    Entry::same(
        Command::StartTls,
        &["STLS"],
        "Once the server agrees, the filter lets go: it can see nothing more.",
        "STLS",
    ),
    Entry::same(Command::Capabilities, &["CAPA"], "A question to the server.", "CAPA"),
    Entry::same(
        Command::Pass,
        &["STAT", "DELE", "NOOP", "RSET", "QUIT", "UTF8"],
        "It says nothing about the one who reads.",
        "DELE 1",
    ),
    Entry::same(Command::Text { most_words: 0 }, &["LIST", "UIDL"], "A question about the messages.", "LIST"),
    Entry::same(Command::Text { most_words: 1 }, &["RETR"], "It names a message by its number.", "RETR 1"),
    Entry::same(
        Command::Text { most_words: 2 },
        &["TOP"],
        "It names a message and a number of lines.",
        "TOP 1 0",
    ),
];

/// The capabilities of the server.
pub(super) const CAPABILITIES: &[Entry<Capability>] = &[
    Entry::same(
        Capability::Pass,
        &[
            "TOP",
            "USER",
            "UIDL",
            "STLS",
            "RESP-CODES",
            "AUTH-RESP-CODE",
            "PIPELINING",
            "EXPIRE",
            "LOGIN-DELAY",
            "UTF8",
            "IMPLEMENTATION",
        ],
        "The filter knows what clients do with it. LANG, which asks for the language of the person, and others are left out.",
        "TOP",
    ),
    Entry::new(
        Capability::Mechanisms,
        &["SASL"],
        "The client does not try mechanisms that can name the machine.",
        ["SASL PLAIN NTLM", "SASL PLAIN"],
    ),
];
