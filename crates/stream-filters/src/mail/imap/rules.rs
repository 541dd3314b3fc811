//! What passes in IMAP. A command that is not here does not.

use crate::rule::Entry;

/// What the client's commands become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// It passes.
    Pass,
    /// What it says of the program is left out.
    Id,
    /// The date and the header of the message are filtered.
    Append,
    /// Mechanisms that are not known are refused.
    Authenticate,
    /// One line follows, at any time.
    Idle,
    /// Both ends go over to TLS.
    StartTls,
}

/// What a capability of the server becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capability {
    /// The client does not see it.
    Drop,
    /// It passes if the mechanism is known.
    Mechanism,
}

/// The commands of the client.
pub(super) const COMMANDS: &[Entry<Command>] = &[
    Entry::new(
        Command::Id,
        &["ID"],
        "It names the program, its version, the system, and sometimes the address and the time zone.",
        ["a1 ID (\"name\" \"Mutt\" \"os\" \"Linux\")", "a1 ID NIL"],
    ),
    Entry::new(
        Command::Append,
        &["APPEND"],
        "The time zone says where the machine is. Of the message's header, what SMTP would not send becomes the letter x.",
        [
            "a1 APPEND Sent (\\Seen) \"30-Nov-2026 16:36:24 +0100\" {15+}\r\nX-Mailer: a\r\n\r\n",
            "a1 APPEND Sent (\\Seen) \"30-Nov-2026 15:36:24 +0000\" {15+}\r\nxxxxxxxx:xx\r\n\r\n",
        ],
    ),
    Entry::new(
        Command::Authenticate,
        &["AUTHENTICATE"],
        "Mechanisms that the filter does not know, such as those of Windows and Kerberos, can name the machine. The server refuses what is left.",
        ["a1 AUTHENTICATE NTLM", "a1 REFUSED"],
    ),
    Entry::same(
        Command::StartTls,
        &["STARTTLS"],
        "Once the server agrees, the filter lets go: it can see nothing more.",
        "a1 STARTTLS",
    ),
    Entry::same(Command::Idle, &["IDLE"], "The client waits for news, up to DONE.", "a1 IDLE"),
    Entry::same(
        Command::Pass,
        &["LOGIN", "LOGOUT", "UNAUTHENTICATE"],
        "The person chooses the name and the password.",
        "a1 LOGIN anon secret",
    ),
    Entry::same(
        Command::Pass,
        &["CAPABILITY", "NOOP", "ENABLE", "NAMESPACE", "NOTIFY"],
        "The two ends agree on extensions. A program can be told by those that it knows.",
        "a1 CAPABILITY",
    ),
    Entry::same(
        Command::Pass,
        &[
            "SELECT",
            "EXAMINE",
            "CREATE",
            "DELETE",
            "RENAME",
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "LIST",
            "LSUB",
            "XLIST",
            "STATUS",
            "CHECK",
            "CLOSE",
            "UNSELECT",
            "EXPUNGE",
            "SEARCH",
            "SORT",
            "THREAD",
            "FETCH",
            "STORE",
            "COPY",
            "MOVE",
            "UID",
            "GETQUOTA",
            "GETQUOTAROOT",
            "SETQUOTA",
            "GETACL",
            "SETACL",
            "DELETEACL",
            "LISTRIGHTS",
            "MYRIGHTS",
            "GETMETADATA",
            "SETMETADATA",
        ],
        "They name mailboxes and messages, which the server knows.",
        "a1 SELECT INBOX",
    ),
];

/// Capabilities of the server that are not passed as they are. Others are: a client's commands pass by the table above, whatever the
/// server offers.
pub(super) const CAPABILITIES: &[Entry<Capability>] = &[
    Entry::new(
        Capability::Drop,
        &["COMPRESS"],
        "No filter could look into compressed bytes.",
        ["COMPRESS=DEFLATE", ""],
    ),
    Entry::new(
        Capability::Drop,
        &["CATENATE", "LANGUAGE", "XAPPLEPUSHSERVICE"],
        "Their commands do not pass. They name the language and the device of the person, or hold messages in parts.",
        ["CATENATE", ""],
    ),
    Entry::new(
        Capability::Mechanism,
        &["AUTH"],
        "The client does not try mechanisms that can name the machine.",
        ["AUTH=NTLM", ""],
    ),
];
