//! What passes in IRC. A command that is not here does not.

use crate::rule::Entry;

/// What the client's commands become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FromClient {
    /// It passes.
    Pass,
    /// All say the same about who they are.
    User,
    /// The text is kept here, and a number goes out.
    Ping,
    /// Only the text of a ping of the server goes out.
    Pong,
    /// All leave with the same words.
    Quit,
    /// All leave with the same words. The channel stays.
    Part,
    /// The text is looked at.
    Text {
        /// A notice, to which no program answers.
        is_notice: bool,
    },
    /// Mechanisms that are not known are refused.
    Authenticate,
    /// A message that is nothing but tags.
    TagMessage,
}

/// What the server's commands become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FromServer {
    /// It passes.
    Pass,
    /// It passes. The client may send its text back.
    Ping,
    /// It gets the text back that the client sent.
    Pong,
    /// The text is looked at.
    Text {
        /// A notice.
        is_notice: bool,
    },
    /// Capabilities that lead around the filter are left out.
    Capabilities,
    /// It does not pass.
    Redirect,
}

use FromClient as C;
use FromServer as S;

/// What leaves this machine.
pub(super) const CLIENT: &[Entry<FromClient>] = &[
    Entry::new(
        C::User,
        &["USER"],
        "Programs fill in the name of the account, of the machine and of the person. All users get the same.",
        ["USER mary 8 laptop.example :Mary Smith", "USER user 8 * :user"],
    ),
    Entry::same(C::Pass, &["NICK"], "The person chooses the name.", "NICK anon"),
    Entry::same(C::Pass, &["PASS", "OPER", "VHOST"], "The person chooses what it holds.", "PASS secret"),
    Entry::new(
        C::Ping,
        &["PING"],
        "Programs put the time of the machine into it. A number goes out; the answer gets the text back.",
        ["PING LAG1700000000123 irc.server", "PING 0"],
    ),
    Entry::new(
        C::Pong,
        &["PONG"],
        "The server needs its own text back. What no ping of the server had does not pass.",
        ["PONG laptop.example :token", "PONG :token"],
    ),
    Entry::new(
        C::Quit,
        &["QUIT"],
        "Programs fill in their name and version. All users leave with the same word.",
        ["QUIT :WeeChat 4.4.2", "QUIT :leaving"],
    ),
    Entry::new(
        C::Part,
        &["PART", "CYCLE", "FPART"],
        "Programs fill in their name and version. All users leave a channel with the same word.",
        ["PART #c :WeeChat 4.4.2", "PART #c :leaving"],
    ),
    Entry::new(
        C::Text { is_notice: false },
        &["PRIVMSG"],
        "Words and actions (/me) pass. CTCP and DCC do not: they name the program, the time, the user and the address.",
        ["PRIVMSG bob :\u{1}DCC SEND file 3221225985 1024 9\u{1}", ""],
    ),
    Entry::new(
        C::Text { is_notice: true },
        &["NOTICE"],
        "Programs answer CTCP with notices, which name the program, the time and the user. Words pass.",
        ["NOTICE bob :\u{1}VERSION irssi 1.4.5 Linux x86_64\u{1}", ""],
    ),
    Entry::new(
        C::TagMessage,
        &["TAGMSG"],
        "Reactions and replies pass; when a person types does not.",
        ["@+typing=active TAGMSG #c", ""],
    ),
    Entry::new(
        C::Authenticate,
        &["AUTHENTICATE"],
        "Passwords and keys are the person's. Other mechanisms, such as those of Windows and Kerberos, can name the machine.",
        ["AUTHENTICATE NTLM", "AUTHENTICATE *"],
    ),
    Entry::same(
        C::Pass,
        &["CAP", "PROTOCTL"],
        "The two ends agree on extensions. A program can be told by those that it knows.",
        "CAP REQ :server-time sasl",
    ),
    Entry::same(
        C::Pass,
        &[
            "JOIN", "INVITE", "UNINVITE", "KICK", "KNOCK", "MODE", "TOPIC", "AWAY", "SETNAME", "ACCEPT",
            "SILENCE", "WATCH", "MONITOR", "DEVOICE", "TITLE", "DCCALLOW", "RENAME",
        ],
        "What a person does. The person chooses what it holds.",
        "JOIN #c key",
    ),
    Entry::same(
        C::Pass,
        &[
            "ADMIN", "COMMANDS", "HELP", "HELPME", "HELPOP", "INFO", "ISON", "LINKS", "LIST", "LUSERS",
            "MAP", "MOTD", "NAMES", "RULES", "SSLINFO", "STATS", "TIME", "USERHOST", "USERS", "VERSION",
            "WHO", "WHOIS", "WHOWAS",
        ],
        "Questions to the server. They say nothing about the one who asks.",
        "WHO #c",
    ),
    Entry::same(
        C::Pass,
        &["BATCH", "CHATHISTORY", "MARKREAD", "REDACT"],
        "Extensions of IRCv3 whose lines name channels and messages only. Java I2P's filter drops them.",
        "CHATHISTORY LATEST #c * 50",
    ),
    Entry::same(
        C::Pass,
        &["REGISTER", "VERIFY"],
        "Accounts; the person chooses what it holds.",
        "REGISTER * * pw",
    ),
    Entry::same(
        C::Pass,
        &[
            "NICKSERV", "NS", "CHANSERV", "CS", "MEMOSERV", "MS", "HOSTSERV", "HS", "BOTSERV", "BS",
            "OPERSERV", "OS", "HELPSERV", "STATSERV", "SASLSERV",
        ],
        "Words to services of the network.",
        "NICKSERV IDENTIFY secret",
    ),
    Entry::same(
        C::Pass,
        &[
            "AKILL",
            "CHATOPS",
            "CHGHOST",
            "CHGIDENT",
            "CHGNAME",
            "CLOSE",
            "CONNECT",
            "DIE",
            "DLINE",
            "ELINE",
            "ETRACE",
            "GLINE",
            "GLOBOPS",
            "GZLINE",
            "KILL",
            "KLINE",
            "LOCOPS",
            "MASKTRACE",
            "NACHAT",
            "OPERMOTD",
            "OPERWALL",
            "QLINE",
            "REHASH",
            "RESTART",
            "RESV",
            "SAJOIN",
            "SAKICK",
            "SAMODE",
            "SANICK",
            "SAPART",
            "SATOPIC",
            "SDESC",
            "SETHOST",
            "SETIDENT",
            "SHUN",
            "SQUIT",
            "TBAN",
            "TESTLINE",
            "TKLINE",
            "TRACE",
            "UNDLINE",
            "UNGLINE",
            "UNKLINE",
            "UNQLINE",
            "UNRESV",
            "UNXLINE",
            "UNZLINE",
            "WALLCHOPS",
            "WALLOPS",
            "XLINE",
            "ZLINE",
        ],
        "Commands of operators, about others.",
        "KILL bob :spam",
    ),
];

/// What reaches the client.
pub(super) const SERVER: &[Entry<FromServer>] = &[
    Entry::same(
        S::Ping,
        &["PING"],
        "The server asks whether the client is there. The filter keeps the text, to know it in the answer.",
        "PING :token",
    ),
    Entry::new(
        S::Pong,
        &["PONG"],
        "The text that did not go out comes back, so that the program can measure the delay.",
        [":irc.i2p PONG irc.i2p :7", ":irc.i2p PONG irc.i2p :7"],
    ),
    Entry::new(
        S::Text { is_notice: false },
        &["PRIVMSG"],
        "A program that is not asked does not answer, and one that gets no offer does not connect.",
        [":bob!u@h PRIVMSG anon :\u{1}VERSION\u{1}", ""],
    ),
    Entry::new(
        S::Text { is_notice: true },
        &["NOTICE"],
        "mIRC says in words that it offers a file, and from which address. Answers to CTCP do not pass either: no question of the client did.",
        [":bob!u@h NOTICE anon :DCC Send file (192.0.2.1)", ""],
    ),
    Entry::new(
        S::Capabilities,
        &["CAP"],
        "Capabilities that lead to TLS are left out of the list: no filter could look into it.",
        [":irc.i2p CAP * LS :sts=port=6697 sasl=PLAIN tls", ":irc.i2p CAP * LS :sasl=PLAIN"],
    ),
    Entry::new(
        S::Redirect,
        &["010"],
        "The program would connect to another server, outside I2P even, without the person.",
        [":irc.i2p 010 anon irc.example.org 6667 :Please use this server", ""],
    ),
    Entry::same(
        S::Pass,
        &[
            "ERROR",
            "MODE",
            "JOIN",
            "NICK",
            "QUIT",
            "PART",
            "KICK",
            "H",
            "TOPIC",
            "WALLOPS",
            "GLOBOPS",
            "KILL",
            "AUTHENTICATE",
            "PROTOCTL",
            "AWAY",
            "ACCOUNT",
            "CHGHOST",
        ],
        "What happens on the network.",
        "ERROR :closing",
    ),
    Entry::same(
        S::Pass,
        &[
            "INVITE",
            "SETNAME",
            "BATCH",
            "TAGMSG",
            "ACK",
            "FAIL",
            "WARN",
            "NOTE",
            "MARKREAD",
            "REDACT",
            "CHATHISTORY",
            "RENAME",
            "REGISTER",
            "VERIFY",
            "KNOCK",
            "SILENCE",
        ],
        "What happens on the network. Java I2P's filter drops them: there, invitations vanish.",
        "INVITE anon :#c",
    ),
];

/// What the client's tags are for. Other tags are left out.
pub(super) const TAGS: &[Entry<()>] = &[
    Entry::same((), &["label"], "The client recognises the answer by it.", "@label=a WHO #c"),
    Entry::same((), &["batch"], "It groups lines.", "@batch=1 PRIVMSG #c :hi"),
    Entry::same(
        (),
        &["draft/multiline-concat"],
        "It joins lines of one message.",
        "@draft/multiline-concat PRIVMSG #c :hi",
    ),
    Entry::same(
        (),
        &[
            "+reply",
            "+draft/reply",
            "+react",
            "+draft/react",
            "+unreact",
            "+draft/unreact",
            "+draft/channel-context",
        ],
        "A person answers a message.",
        "@+reply=abc PRIVMSG #c :yes",
    ),
];

/// Capabilities that a client does not get to see. Others pass: a client's commands pass by the table above, whatever the server
/// offers.
pub(super) const CAPABILITIES: &[Entry<()>] = &[Entry::new(
    (),
    &["tls", "sts", "starttls"],
    "The connection is encrypted by I2P. With TLS in it, or on another port, no filter could look.",
    ["tls", ""],
)];
