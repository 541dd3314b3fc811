//! The rules for SIP and for descriptions of calls (SDP).

use crate::{Subject, rule::Entry};

/// What becomes of a header field of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Pass,
    Drop(Subject),
    /// The address of the machine in it becomes none.
    Via,
    /// The same, without parameters that name the device.
    Contact,
    /// The host of its URI, if only this machine's network knows it.
    Uri,
    /// Without the host that programs put behind it.
    CallId,
    /// It is written anew.
    Length,
}

/// The header fields. Those that have a short form are listed with it.
pub(super) const FIELDS: &[Entry<Header>] = &[
    Entry::new(
        Header::Via,
        &["Via", "v"],
        "It names the address of the machine. The answer gets the program's own line back, by its branch.",
        [
            "Via: SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK1;rport",
            "Via: SIP/2.0/TCP anonymous.invalid;branch=z9hG4bK1;rport",
        ],
    ),
    Entry::new(
        Header::Contact,
        &["Contact", "m"],
        "It names the address of the machine, and often an identifier of the device. RFC 3323 says what takes its place.",
        [
            "Contact: <sip:anon@192.0.2.7:5060;transport=tcp>;+sip.instance=\"<urn:uuid:0-02004f4f50>\";expires=600",
            "Contact: <sip:anon@anonymous.invalid;transport=tcp>;expires=600",
        ],
    ),
    Entry::new(
        Header::CallId,
        &["Call-ID", "i"],
        "Programs put the address or the name of the machine behind it. The program gets its own back.",
        ["Call-ID: a84b4c76e66710@192.0.2.7", "Call-ID: a84b4c76e66710"],
    ),
    Entry::new(
        Header::Uri,
        &["From", "f", "To", "t", "Refer-To", "r", "Referred-By", "b", "Reply-To", "P-Preferred-Identity"],
        "The person chooses the name and the account. The address of a machine without a public name goes.",
        ["From: \"anon\" <sip:anon@192.0.2.7>;tag=1", "From: \"anon\" <sip:anon@anonymous.invalid>;tag=1"],
    ),
    Entry::new(
        Header::Drop(Subject::Program),
        &["User-Agent", "Server", "Organization", "Warning", "Error-Info", "Call-Info", "Alert-Info"],
        "They name the program, its version, the system and its owner.",
        ["User-Agent: Linphone/5.1 (telltale)", ""],
    ),
    Entry::new(
        Header::Drop(Subject::Clock),
        &["Date", "Timestamp"],
        "The clock of the machine.",
        ["Date: Mon, 30 Nov 2026 12:00:00 GMT", ""],
    ),
    Entry::same(
        Header::Length,
        &["Content-Length", "l"],
        "It follows what is left of the body.",
        "Content-Length: 0",
    ),
    Entry::same(
        Header::Pass,
        &[
            "CSeq",
            "Max-Forwards",
            "Route",
            "Record-Route",
            "Expires",
            "Min-Expires",
            "Event",
            "o",
            "Subscription-State",
            "Authorization",
            "Proxy-Authorization",
            "Subject",
            "s",
            "Content-Type",
            "c",
            "Content-Encoding",
            "e",
            "Require",
            "Proxy-Require",
            "Supported",
            "k",
            "Unsupported",
            "Allow",
            "Allow-Events",
            "u",
            "Accept",
            "RSeq",
            "RAck",
            "Session-Expires",
            "x",
            "Min-SE",
            "Replaces",
            "Reason",
            "Priority",
            "Privacy",
            "In-Reply-To",
            "SIP-ETag",
            "SIP-If-Match",
        ],
        "What a call needs, passwords, and what the person chooses.",
        "CSeq: 1 INVITE",
    ),
];

/// What becomes of a line of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Pass,
    Drop(Subject),
    Origin,
    Session,
    Connection,
    Attribute,
}

/// The lines of a description, by their letters (RFC 8866).
pub(super) const LINES: &[Entry<Line>] = &[
    Entry::new(
        Line::Origin,
        &["o"],
        "It names the account and the address of the machine.",
        ["o=tattler 1 1 IN IP4 192.0.2.7", "o=- 1 1 IN IP4 0.0.0.0"],
    ),
    Entry::new(Line::Session, &["s"], "Programs put their names there.", ["s=Linphone", "s=-"]),
    Entry::new(
        Line::Connection,
        &["c"],
        "The address of the machine, where it waits for sound and pictures.",
        ["c=IN IP4 192.0.2.7", "c=IN IP4 0.0.0.0"],
    ),
    Entry::new(
        Line::Drop(Subject::RealName),
        &["i", "u", "e", "p", "z", "k"],
        "Words about the one who calls, an address of mail, a number, a time zone, a key.",
        ["i=the call of Tat Tler", ""],
    ),
    Entry::new(
        Line::Attribute,
        &["a"],
        "Attributes that a call needs pass, such as rtpmap. Others can name addresses, programs and devices.",
        ["a=candidate:1 1 udp 1 192.0.2.7 9 typ host", ""],
    ),
    Entry::same(Line::Pass, &["m", "v", "b", "t", "r"], "What is sent, and how.", "m=audio 9 RTP/AVP 0"),
];

/// Attributes that pass, before their colons.
pub(super) const ATTRIBUTES: [&str; 20] = [
    "rtpmap",
    "fmtp",
    "ptime",
    "maxptime",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "mid",
    "group",
    "rtcp-mux",
    "rtcp-fb",
    "rtcp-rsize",
    "setup",
    "fingerprint",
    "crypto",
    "extmap",
    "framerate",
    "lang",
    "orient",
];
