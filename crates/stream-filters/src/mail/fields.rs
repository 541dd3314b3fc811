//! Which header fields of a message leave this machine (RFC 5322 section 3.6). A field that is not here does not.

use crate::{Subject, rule::Entry};

/// What the client's header fields become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// It passes.
    Pass,
    /// It does not pass, because it says this.
    Drop(Subject),
    /// The same instant in UTC.
    Date,
    /// Without words in it.
    MimeVersion,
    /// Without the messages that name the machine.
    Messages,
}

/// The header fields of a message.
pub(super) const FIELDS: &[Entry<Field>] = &[
    Entry::same(
        Field::Pass,
        &[
            "From",
            "Reply-To",
            "To",
            "Cc",
            "Bcc",
            "Subject",
            "Comments",
            "Keywords",
            "Organization",
            "Newsgroups",
        ],
        "The person chooses what it holds.",
        "From: anon <anon@mail.i2p>",
    ),
    Entry::same(
        Field::Pass,
        &["Resent-From", "Resent-To", "Resent-Cc", "Resent-Bcc"],
        "The person chooses to whom a message is sent on.",
        "Resent-From: anon@mail.i2p",
    ),
    Entry::new(
        Field::Date,
        &["Date", "Resent-Date"],
        "The time zone of the machine says where it is.",
        ["Date: Mon, 30 Nov 2026 16:36:24 +0100 (CET)", "Date: Mon, 30 Nov 2026 15:36:24 +0000"],
    ),
    Entry::new(
        Field::Messages,
        &["In-Reply-To", "References"],
        "Answers need it. Messages of a machine without a public name are left out: that can be this one.",
        ["In-Reply-To: <1@mail.i2p> <2@laptop>", "In-Reply-To: <1@mail.i2p>"],
    ),
    Entry::new(
        Field::MimeVersion,
        &["MIME-Version"],
        "Some programs put their version into it.",
        ["MIME-Version: 1.0 (Mac OS X Mail 16.0)", "MIME-Version: 1.0"],
    ),
    Entry::same(
        Field::Pass,
        &["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-Description"],
        "The reader needs it to show the body.",
        "Content-Type: text/plain; charset=utf-8",
    ),
    Entry::same(
        Field::Pass,
        &["Importance", "Priority", "X-Priority", "Disposition-Notification-To", "Autocrypt"],
        "The person asked for it.",
        "Importance: high",
    ),
    Entry::same(
        Field::Pass,
        &[
            "List-Id",
            "List-Post",
            "List-Help",
            "List-Subscribe",
            "List-Unsubscribe",
            "List-Archive",
            "Precedence",
        ],
        "Mailing lists need it.",
        "List-Id: <list.mail.i2p>",
    ),
    Entry::new(
        Field::Drop(Subject::MessageId),
        &["Message-ID", "Resent-Message-ID"],
        "Most programs put the name of the machine, the time and the number of a process into it. The server gives one (RFC 6409 section 8.3).",
        ["Message-ID: <20261130163624.4711@laptop.example>", ""],
    ),
    Entry::new(
        Field::Drop(Subject::MessageId),
        &["Content-ID"],
        "Many programs put the name of the machine into it. Nothing refers to that of a whole message.",
        ["Content-ID: <1@laptop.example>", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Program),
        &["User-Agent", "X-Mailer", "X-MimeOLE", "X-Newsreader"],
        "They name the program, its version and the system.",
        ["User-Agent: Mutt/2.2.13 (2024-03-09)", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trace),
        &["Received", "X-Received", "X-Originating-IP", "Return-Path", "Delivered-To"],
        "They name the machines that a message has passed, this one first.",
        ["Received: from laptop.example ([192.0.2.1]) by relay; Mon, 30 Nov 2026 16:36:24 +0100", ""],
    ),
    Entry::new(
        Field::Drop(Subject::UserName),
        &["Sender", "Resent-Sender"],
        "Programs fill in the account and the machine. The server adds it where it differs from From.",
        ["Sender: mary@laptop.example", ""],
    ),
];
