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
        &["User-Agent"],
        "It names the program, its version and the system. All users have the same.",
        ["User-Agent: curl/8.5.0", "User-Agent: MYOB/6.66 (AN/ON)"],
    ),
    Entry::new(
        Field::Accept,
        &["Accept"],
        "Browsers differ in what they list: their lists for pages and for pictures become one each. Others pass.",
        [
            "Accept: text/html, text/*;q=0.5, image/*",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ],
    ),
    Entry::new(
        Field::Referer,
        &["Referer"],
        "It tells where the person comes from. Of a page of the same site, the path passes.",
        ["Referer: http://search.i2p/?q=forum", ""],
    ),
    Entry::new(
        Field::Origin,
        &["Origin"],
        "A site has to recognise forged requests from elsewhere, but need not know where they come from.",
        ["Origin: http://other.i2p", "Origin: null"],
    ),
    Entry::new(
        Field::Authorization,
        &["Authorization", "Proxy-Authorization"],
        "Passwords and tokens are the person's. NTLM, Negotiate and Kerberos name the machine and the user.",
        ["Authorization: NTLM TlRMTVNTUA==", ""],
    ),
    Entry::new(
        Field::RequestedWith,
        &["X-Requested-With"],
        "Scripts say XMLHttpRequest, which passes. Web views of Android name the app.",
        ["X-Requested-With: org.example.app", ""],
    ),
    Entry::new(
        Field::Drop(Subject::UserName),
        &["From"],
        "It is the address of the person.",
        ["From: mary@laptop.example", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Preference),
        &["Accept-Language", "Accept-Charset", "Accept-Datetime", "DNT", "Sec-GPC", "Save-Data"],
        "They tell the country of the person, or a preference that few have.",
        ["Accept-Language: de-CH", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Clock),
        &["Date"],
        "It shows how far the clock of the machine is off.",
        ["Date: Mon, 30 Nov 2026 15:36:24 GMT", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trait),
        &[
            "Device-Memory",
            "Downlink",
            "DPR",
            "ECT",
            "RTT",
            "Viewport-Width",
            "Width",
            "Wap-Profile",
            "X-Wap-Profile",
            "X-UIDH",
            "X-Client-Data",
        ],
        "They describe the machine, its screen or its network.",
        ["Device-Memory: 8", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trait),
        &["Priority", "Purpose", "X-Moz", "X-Purpose", "Upgrade-Insecure-Requests"],
        "Browsers can be told by them.",
        ["Priority: u=0, i", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trace),
        &[
            "Via",
            "Forwarded",
            "Forwarded-For",
            "X-Forwarded",
            "X-Real-IP",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "X-Originating-IP",
            "X-Remote-IP",
            "X-Remote-Addr",
            "Client-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
        ],
        "They contain addresses and names of machines.",
        ["Via: 1.1 laptop.example", ""],
    ),
];

/// The header fields of requests, by the beginnings of their names.
pub(crate) const BEGINNINGS: &[Entry<Field>] = &[
    Entry::new(
        Field::Drop(Subject::Trait),
        &["Sec-CH-", "Sec-Fetch-", "Sec-Purpose"],
        "Names that begin so: browsers describe themselves and the machine.",
        ["Sec-CH-UA-Platform: Linux", ""],
    ),
    Entry::new(
        Field::Drop(Subject::Trace),
        &["X-Forwarded-"],
        "Names that begin so: they contain addresses.",
        ["X-Forwarded-For: 192.0.2.1", ""],
    ),
];

/// The header fields of answers that do not pass.
pub(crate) const ANSWER_FIELDS: &[Entry<Subject>] = &[
    Entry::new(
        Subject::Redirect,
        &["Alt-Svc", "Alternate-Protocol"],
        "The browser would use another address for the same site from then on, outside I2P even.",
        ["Alt-Svc: h2=\"www.example:443\"", ""],
    ),
    Entry::new(
        Subject::Report,
        &[
            "NEL",
            "Report-To",
            "Reporting-Endpoints",
            "Expect-CT",
            "Public-Key-Pins",
            "Public-Key-Pins-Report-Only",
        ],
        "The browser would send reports to addresses that the site chooses.",
        ["NEL: {\"report_to\":\"a\",\"max_age\":9}", ""],
    ),
    Entry::new(
        Subject::ProgramQuery,
        &["Accept-CH", "Accept-CH-Lifetime", "Critical-CH"],
        "They ask the browser about the machine.",
        ["Accept-CH: Device-Memory", ""],
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
