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
    /// It passes with a word of the table below.
    Uid,
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
        "The time zone says where the machine is; a date that the filter cannot read is left out. Of the message's header, what SMTP would not send becomes the letter x.",
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
        Command::Uid,
        &["UID"],
        "It names messages by numbers that stay. The word after it decides.",
        "a1 UID FETCH 1 FLAGS",
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

/// The words after UID.
pub(super) const UID_COMMANDS: &[Entry<()>] = &[Entry::same(
    (),
    &["FETCH", "STORE", "COPY", "MOVE", "EXPUNGE", "SEARCH", "SORT", "THREAD"],
    "They name messages, which the server knows. REPLACE, which holds a message, does not pass.",
    "a1 UID FETCH 1 FLAGS",
)];

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
        &["REPLACE", "CATENATE"],
        "Their commands do not pass: they hold messages in ways that the filter does not read.",
        ["REPLACE", ""],
    ),
    Entry::new(
        Capability::Drop,
        &["LANGUAGE", "XAPPLEPUSHSERVICE"],
        "Their commands do not pass: they name the language and the device of the person.",
        ["LANGUAGE", ""],
    ),
    Entry::new(
        Capability::Mechanism,
        &["AUTH"],
        "The client does not try mechanisms that can name the machine.",
        ["AUTH=NTLM", ""],
    ),
];
