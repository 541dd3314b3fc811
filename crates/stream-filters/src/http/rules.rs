//! What does not pass as it is: header fields of requests and answers, and parameters of announces. Fields without a rule pass.

use crate::{
    Subject,
    rule::{Entry, find},
};

/// What a field of a request becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// It does not pass.
    Drop(Subject),
    /// All clients have the same program.
    UserAgent,
    /// The lists of browsers become one.
    Accept,
    /// The path on the same site passes.
    Referer,
    /// Whether it is the same site.
    Origin,
    /// Mechanisms that name no machine pass.
    Authorization,
    /// The word of scripts passes.
    RequestedWith,
}

impl Field {
    /// What the field says that the site does not get.
    pub(crate) const fn subject(self) -> Subject {
        match self {
            Self::Drop(subject) => subject,
            Self::UserAgent | Self::Accept | Self::RequestedWith => Subject::Program,
            Self::Referer | Self::Origin => Subject::VisitedSite,
            Self::Authorization => Subject::LoginMechanism,
        }
    }
}

/// The header fields of requests, by their whole names.
pub(crate) const FIELDS: &[Entry<Field>] = &[
    Entry::new(
        Field::UserAgent,
        &["user-agent"],
        "It names the program, its version and the system. All users have the same.",
        ["user-agent: curl/8.5.0", "user-agent: MYOB/6.66 (AN/ON)"],
    ),
    Entry::new(
        Field::Accept,
        &["accept"],
        "Browsers differ in what they list: their lists for pages and for pictures become one each. Others pass.",
        [
            "accept: text/html, text/*;q=0.5, image/*",
            "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ],
    ),
    Entry::new(
        Field::Referer,
        &["referer"],
        "It tells where the person comes from. Of a page of the same site, the path passes.",
        ["referer: http://search.i2p/?q=forum", ""],
    ),
    Entry::new(
        Field::Origin,
        &["origin"],
        "A site has to recognise forged requests from elsewhere, but need not know where they come from.",
        ["origin: http://other.i2p", "origin: null"],
    ),
    Entry::new(
        Field::Authorization,
        &["authorization", "proxy-authorization"],
        "Passwords and tokens are the person's. NTLM, Negotiate and Kerberos name the machine and the user.",
        ["authorization: NTLM TlRMTVNTUA==", ""],
    ),
    Entry::new(
        Field::RequestedWith,
        &["x-requested-with"],
        "Scripts say XMLHttpRequest, which passes. Web views of Android name the app.",
        ["x-requested-with: org.example.app", ""],
    ),
    Entry::new(
        Field::Drop(Subject::UserName),
        &["from"],
        "It is the address of the person.",
        ["from: mary@laptop.example", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Preference),
        &["accept-language", "accept-charset", "accept-datetime", "dnt", "sec-gpc", "save-data"],
        "They tell the country of the person, or a preference that few have.",
        ["accept-language: de-CH", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Clock),
        &["date"],
        "It shows how far the clock of the machine is off.",
        ["date: Mon, 30 Nov 2026 15:36:24 GMT", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trait),
        &[
            "device-memory",
            "downlink",
            "dpr",
            "ect",
            "rtt",
            "viewport-width",
            "width",
            "wap-profile",
            "x-wap-profile",
            "x-uidh",
            "x-client-data",
        ],
        "They describe the machine, its screen or its network.",
        ["device-memory: 8", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trait),
        &["priority", "purpose", "x-moz", "x-purpose", "upgrade-insecure-requests"],
        "Browsers can be told by them.",
        ["priority: u=0, i", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trace),
        &[
            "via",
            "forwarded",
            "forwarded-for",
            "x-forwarded",
            "x-real-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-originating-ip",
            "x-remote-ip",
            "x-remote-addr",
            "client-ip",
            "true-client-ip",
            "cf-connecting-ip",
        ],
        "They contain addresses and names of machines.",
        ["via: 1.1 laptop.example", ""],
    ),
];

/// The header fields of requests, by the beginnings of their names.
pub(crate) const BEGINNINGS: &[Entry<Field>] = &[
    Entry::new(
        Field::Drop(Subject::Trait),
        &["sec-ch-", "sec-fetch-", "sec-purpose"],
        "Names that begin so: browsers describe themselves and the machine.",
        ["sec-ch-ua-platform: Linux", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trace),
        &["x-forwarded-"],
        "Names that begin so: they contain addresses.",
        ["x-forwarded-for: 192.0.2.1", ""],
    ),
];

/// The header fields of answers that do not pass.
pub(crate) const ANSWER_FIELDS: &[Entry<Subject>] = &[
    Entry::new(
        Subject::Redirect,
        &["alt-svc", "alternate-protocol"],
        "The browser would use another address for the same site from then on, outside I2P even.",
        ["alt-svc: h2=\"www.example:443\"", ""],
    ),
    Entry::new(
        Subject::Report,
        &[
            "nel",
            "report-to",
            "reporting-endpoints",
            "expect-ct",
            "public-key-pins",
            "public-key-pins-report-only",
        ],
        "The browser would send reports to addresses that the site chooses.",
        ["nel: {\"report_to\":\"a\",\"max_age\":9}", ""],
    ),
    Entry::new(
        Subject::ProgramQuery,
        &["accept-ch", "accept-ch-lifetime", "critical-ch"],
        "They ask the browser about the machine.",
        ["accept-ch: Device-Memory", ""],
    ),
];

/// The parameters of announces that do not pass (BEP 3, BEP 7).
pub(crate) const PARAMETERS: &[Entry<Subject>] = &[Entry::new(
    Subject::AnnouncedAddress,
    &["ip", "ipv4", "ipv6", "localip"],
    "In an announce to a BitTorrent tracker, they hold an address of the machine. A destination in I2P passes.",
    ["GET /a?info_hash=x&ip=192.0.2.1 HTTP/1.1", "GET /a?info_hash=x HTTP/1.1"],
)];

/// The rule for a field of a request.
pub(crate) fn of_request(name: &str) -> Option<Field> {
    find(FIELDS, name.as_bytes()).or_else(|| {
        let is_beginning = |beginning: &&str| {
            let given = name.as_bytes().get(..beginning.len());
            given.is_some_and(|given| given.eq_ignore_ascii_case(beginning.as_bytes()))
        };
        let mut entries = BEGINNINGS.iter();
        entries.find(|entry| entry.rule.names.iter().any(is_beginning)).map(|entry| entry.action)
    })
}

/// What a field of an answer is, if it does not pass.
pub(crate) fn of_answer(name: &str) -> Option<Subject> {
    find(ANSWER_FIELDS, name.as_bytes())
}
