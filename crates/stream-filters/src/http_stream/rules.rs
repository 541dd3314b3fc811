//! Fields of requests that are about the connection (RFC 9110 section 7.6.1), and what all rules are.

use alloc::vec::Vec;

use super::syntax::{elements, is_http};
use crate::{
    ListedRule, Subject,
    http::{
        self,
        rules::{ANSWER_FIELDS, BEGINNINGS, FIELDS, PARAMETERS},
    },
    rule::{Entry, Place, Side, find, listed},
};

/// What such a field becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    /// It passes: the request has been cut if there is a second one or a malformed one.
    Checked,
    /// It is written in a place of its own.
    Placed,
    /// It does not pass.
    Drop,
    /// `close` passes; so does `upgrade` with what it names, and `keep-alive` of HTTP/1.0.
    Connection,
    /// Other protocols than HTTP pass.
    Upgrade,
    /// `100-continue` passes.
    Expect,
}

const OPTIONS: &[Entry<Hop>] = &[
    Entry::same(
        Hop::Placed,
        &["Host"],
        "The site needs its name, and the rules for Referer and Origin do.",
        "Host: forum.i2p",
    ),
    Entry::same(
        Hop::Checked,
        &["Content-Length"],
        "The length of the body. Two of them end the connection, even with the same value.",
        "Content-Length: 9",
    ),
    Entry::same(
        Hop::Placed,
        &["Transfer-Encoding"],
        "The end of the body. Any other than `chunked` ends the connection, as does one beside a length.",
        "Transfer-Encoding: chunked",
    ),
    Entry::same(
        Hop::Expect,
        &["Expect"],
        "The site says whether it wants the body. Other expectations do not pass.",
        "Expect: 100-continue",
    ),
    Entry::new(
        Hop::Connection,
        &["Connection"],
        "Programs differ in it. `close` passes, `upgrade` with its protocol, and in HTTP/1.0 `keep-alive`. Fields that it names do not pass.",
        ["Connection: keep-alive", ""],
    ),
    Entry::new(
        Hop::Upgrade,
        &["Upgrade"],
        "WebSocket and others pass. HTTP/2 and TLS do not: no filter could look into them.",
        ["Upgrade: h2c", ""],
    ),
    Entry::new(
        Hop::Drop,
        &["HTTP2-Settings", "Keep-Alive", "Proxy-Connection", "TE", "Trailer"],
        "Programs can be told by what they say about the connection. Nothing of it is needed.",
        ["HTTP2-Settings: AAMAAABk", ""],
    ),
];

/// Fields of answers that are about the connection and do not pass.
const ANSWER_OPTIONS: &[Entry<Subject>] = &[Entry::new(
    Subject::Capability,
    &["Upgrade"],
    "The server offers HTTP/2 or TLS, into which no filter could look. The protocol that the client asked for passes.",
    ["Upgrade: h2c", ""],
)];

/// What a field about the connection becomes.
pub(super) fn of_connection(name: &str) -> Option<Hop> {
    find(OPTIONS, name.as_bytes())
}

/// What a field of an answer is, if it does not pass.
pub(super) fn of_answer(name: &str, value: &[u8]) -> Option<Subject> {
    let of_connection = find(ANSWER_OPTIONS, name.as_bytes()).filter(|_| elements(value).any(is_http));
    of_connection.or_else(|| http::rules::of_answer(name))
}

pub(crate) fn rules() -> Vec<ListedRule> {
    let parameters = listed(PARAMETERS, Side::Client, Place::Parameter);
    let fields = listed(FIELDS, Side::Client, Place::Field);
    let beginnings = listed(BEGINNINGS, Side::Client, Place::Field);
    let options = listed(OPTIONS, Side::Client, Place::Field);
    let answers = listed(ANSWER_FIELDS, Side::Server, Place::Field);
    let answer_options = listed(ANSWER_OPTIONS, Side::Server, Place::Field);
    let of_client = fields.chain(beginnings).chain(options).chain(parameters);
    of_client.chain(answers).chain(answer_options).collect()
}
