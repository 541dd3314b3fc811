//! What passes in SMTP. A command, header field or capability that is not here does not.

use crate::rule::Entry;

/// What the client's commands become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// It passes.
    Pass,
    /// It passes without what follows it.
    Bare,
    /// The name of the machine is replaced.
    Hello,
    /// Parameters that are not known are left out.
    Envelope,
    /// Mechanisms that are not known are refused.
    Authenticate,
    /// The header fields of a message follow.
    Data,
    /// Both ends go over to TLS.
    StartTls,
    /// It ends the connection: bytes follow that are no lines.
    Chunk,
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
    Entry::new(
        Command::Hello,
        &["EHLO", "HELO"],
        "Programs fill in the name or the address of the machine. All users get the same.",
        ["EHLO laptop.example", "EHLO localhost"],
    ),
    Entry::new(
        Command::Envelope,
        &["MAIL"],
        "The address is the person's. Parameters can hold identifiers with the name of the machine.",
        ["MAIL FROM:<anon@mail.i2p> SIZE=9 ENVID=laptop", "MAIL FROM:<anon@mail.i2p> SIZE=9"],
    ),
    Entry::new(
        Command::Envelope,
        &["RCPT"],
        "The address is the person's. ORCPT names the address to which the client was told to send.",
        ["RCPT TO:<bob@mail.i2p> ORCPT=rfc822;bob@laptop", "RCPT TO:<bob@mail.i2p>"],
    ),
    Entry::same(
        Command::Data,
        &["DATA"],
        "The header of the message is filtered. The body is the person's.",
        "DATA",
    ),
    Entry::same(
        Command::StartTls,
        &["STARTTLS"],
        "Once the server agrees, the filter lets go: it can see nothing more.",
        "STARTTLS",
    ),
    Entry::new(
        Command::Authenticate,
        &["AUTH"],
        "Passwords are the person's. Other mechanisms, such as those of Windows and Kerberos, can name the machine. The server refuses what is left.",
        ["AUTH NTLM TlRMTVNTUA==", "AUTH"],
    ),
    Entry::new(
        Command::Bare,
        &["NOOP", "RSET", "QUIT", "HELP"],
        "They need no words; programs can add some.",
        ["NOOP swaks", "NOOP"],
    ),
    Entry::new(
        Command::Bare,
        &["XCLIENT", "XFORWARD"],
        "They name the address of a client. The server refuses what is left.",
        ["XCLIENT ADDR=192.0.2.1", "XCLIENT"],
    ),
    Entry::same(Command::Pass, &["VRFY", "EXPN"], "Questions to the server.", "VRFY bob"),
    Entry::new(
        Command::Chunk,
        &["BDAT"],
        "Its bytes are no lines. No server offers it through the filter; a client that sends it is cut.",
        ["BDAT 1000 LAST", ""],
    ),
];

/// The parameters of MAIL and RCPT.
pub(super) const PARAMETERS: &[Entry<()>] = &[
    Entry::same((), &["SIZE"], "The length of the message.", "MAIL FROM:<a@b.i2p> SIZE=1000"),
    Entry::same(
        (),
        &["BODY"],
        "Whether the message has bytes above 127.",
        "MAIL FROM:<a@b.i2p> BODY=8BITMIME",
    ),
    Entry::same(
        (),
        &["SMTPUTF8", "REQUIRETLS"],
        "How the server passes it on.",
        "MAIL FROM:<a@b.i2p> SMTPUTF8",
    ),
    Entry::same((), &["RET", "NOTIFY"], "Which reports the person wants.", "RCPT TO:<a@b.i2p> NOTIFY=NEVER"),
];

/// The capabilities of the server.
pub(super) const CAPABILITIES: &[Entry<Capability>] = &[
    Entry::same(
        Capability::Pass,
        &[
            "PIPELINING",
            "SIZE",
            "8BITMIME",
            "SMTPUTF8",
            "STARTTLS",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "HELP",
            "VRFY",
            "EXPN",
            "REQUIRETLS",
            "LIMITS",
            "OK",
        ],
        "The filter knows what clients do with it. CHUNKING, XCLIENT and others are left out.",
        "PIPELINING",
    ),
    Entry::new(
        Capability::Mechanisms,
        &["AUTH"],
        "The client does not try mechanisms that can name the machine.",
        ["AUTH PLAIN NTLM LOGIN GSSAPI", "AUTH PLAIN LOGIN"],
    ),
];
