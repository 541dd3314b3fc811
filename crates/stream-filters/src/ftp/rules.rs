//! What passes on the control connection of FTP. A command that is not here does not.

use crate::rule::Entry;

/// What the client's commands become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// It passes.
    Pass,
    /// It passes without what follows it.
    Bare,
    /// It passes. The name decides on the password.
    User,
    /// The password of a guest is the same for all.
    Password,
    /// The server connects to nobody; it refuses what is left.
    Refuse,
    /// It passes without a time zone.
    Time,
    /// It passes with a word of the table below.
    Site,
    /// Both ends go over to TLS.
    Authenticate,
}

/// The commands of the client.
pub(super) const COMMANDS: &[Entry<Command>] = &[
    Entry::same(Command::User, &["USER"], "The person chooses the name.", "USER anon"),
    Entry::same(
        Command::Password,
        &["PASS"],
        "The person chooses it. For guests (anonymous, ftp), programs fill in their name, the account or the machine; all get anonymous@.",
        "PASS secret",
    ),
    Entry::new(
        Command::Refuse,
        &["PORT", "EPRT", "LPRT"],
        "They name an address of the machine, to which the server would connect. The client then tries PASV or EPSV.",
        ["PORT 192,0,2,1,200,10", "PORT"],
    ),
    Entry::new(
        Command::Refuse,
        &["CLNT", "CSID", "LANG"],
        "They name the program, its version, and the language of the person.",
        ["CLNT FileZilla 3.66", "CLNT"],
    ),
    Entry::same(
        Command::Authenticate,
        &["AUTH"],
        "Once the server agrees to TLS, the filter lets go: it can see nothing more. Kerberos is refused.",
        "AUTH TLS",
    ),
    Entry::same(
        Command::Pass,
        &["EPSV", "TYPE", "STRU", "MODE", "PBSZ", "PROT", "OPTS", "REST", "ALLO", "HOST"],
        "How files are carried. It says nothing about the machine.",
        "EPSV",
    ),
    Entry::new(
        Command::Bare,
        &["PASV", "QUIT", "REIN", "ABOR", "CDUP", "XCUP", "PWD", "XPWD", "SYST", "NOOP", "FEAT"],
        "They need no words.",
        ["PASV x", "PASV"],
    ),
    Entry::same(
        Command::Pass,
        &[
            "ACCT", "CWD", "XCWD", "RETR", "STOR", "STOU", "APPE", "RNFR", "RNTO", "DELE", "RMD", "XRMD",
            "MKD", "XMKD", "LIST", "NLST", "MLST", "MLSD", "SIZE", "STAT", "HELP", "HASH", "XCRC", "XMD5",
            "XSHA1", "XSHA256",
        ],
        "They name files, which the person chooses.",
        "RETR file",
    ),
    Entry::new(
        Command::Time,
        &["MDTM", "MFMT"],
        "Times are in UTC (RFC 3659 section 3). Some programs add a time zone, which says where the machine is. The server refuses what is left.",
        ["MDTM 20261130163624+60 file", "MDTM"],
    ),
    Entry::same(
        Command::Site,
        &["SITE"],
        "Servers have commands of their own. The word after it decides. The server refuses what is left of others.",
        "SITE CHMOD 644 file",
    ),
];

/// The words after SITE.
pub(super) const SITE_COMMANDS: &[Entry<()>] = &[Entry::same(
    (),
    &[
        "CHMOD", "CHGRP", "UMASK", "SYMLINK", "MKDIR", "RMDIR", "COPY", "CPFR", "CPTO", "QUOTA", "IDLE",
        "HELP",
    ],
    "They name files, which the person chooses, or ask the server.",
    "SITE CHMOD 644 file",
)];

/// Features that a client does not get to see. Others pass: a client's commands pass by the table above, whatever the server offers.
pub(super) const FEATURES: &[Entry<()>] = &[Entry::new(
    (),
    &["EPRT", "CLNT", "CSID", "LANG"],
    "The server would refuse what is left of it.",
    [" EPRT", ""],
)];
