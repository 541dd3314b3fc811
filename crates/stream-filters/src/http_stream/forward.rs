use alloc::{string::String, vec::Vec};

use super::{
    answer::Kind,
    body::Framing,
    request::{RequestHead, RequestLine},
    rules::{Hop, of_connection},
    syntax::{elements, is_http},
};
use crate::{
    Output, Subject,
    http::{Request, Verdict, Via, announce, rules},
};

/// Writes what the site gets of a request's head: as the proxy writes it, with the same spelling and order of names.
pub(super) fn forward(head: &RequestHead<'_>, via: Via, output: &mut Output) {
    let options = Options::of(head);
    request_line(&head.line, output);
    if let Some(host) = head.host {
        output.line(&[b"Host: ", host.as_bytes()]);
    }
    output.line(&[b"User-Agent: ", via.user_agent().as_bytes()]);
    let request = Request { via, authority: head.host.unwrap_or_default() };
    for (name, value) in &head.fields {
        if options.lets_pass(name, value, output) {
            field(&request, name, value, output);
        }
    }
    if head.framing == Some(Framing::Chunked) {
        output.line(&[b"Transfer-Encoding: chunked"]);
    }
    options.write(output);
    output.line(&[]);
}

/// Which answer a request gets.
pub(super) fn kind(head: &RequestHead<'_>) -> Kind {
    match head.line.method {
        RequestLine::CONNECT => Kind::Connect,
        b"HEAD" => Kind::Head,
        _ if Options::of(head).upgrade.is_some() => Kind::Upgrade,
        _ => Kind::Other,
    }
}

/// The first line. Announces to trackers lose the addresses in them.
fn request_line(line: &RequestLine<'_>, output: &mut Output) {
    let announced: Option<String> = announce(line.target).map(Iterator::collect);
    let target = announced.as_deref().unwrap_or(line.target);
    if target.len() < line.target.len() {
        output.removed(Subject::AnnouncedAddress);
    }
    output.line(&[line.method, b" ", target.as_bytes(), b" ", line.version]);
}

/// Writes what the rules for header fields make of one.
fn field(request: &Request<'_>, name: &str, value: &[u8], output: &mut Output) {
    let own_origin;
    let given = match request.field(name, value) {
        Verdict::Pass => Some(value),
        Verdict::Drop => None,
        Verdict::Replace(given) => Some(given),
        Verdict::OwnOrigin => {
            own_origin = [b"http://", request.authority.as_bytes()].concat();
            Some(own_origin.as_slice())
        }
    };
    let subject = rules::of_request(name).map_or(Subject::UnknownField, rules::Field::subject);
    match given {
        None => output.removed(subject),
        Some(given) if given != value => output.replaced(subject),
        Some(_) => {}
    }
    // Everybody's has its place.
    if let Some(given) = given.filter(|_| name != "user-agent") {
        output.line(&[&title_case(name), b": ", given]);
    }
}

/// A name with a capital letter at the start of each word.
fn title_case(name: &str) -> Vec<u8> {
    let mut before = b'-';
    let spell =
        |byte| if core::mem::replace(&mut before, byte) == b'-' { byte.to_ascii_uppercase() } else { byte };
    name.bytes().map(spell).collect()
}

/// What a request says about the connection.
struct Options<'h> {
    /// What Connection names.
    named: Vec<&'h [u8]>,
    /// The protocol with which the client wants to go on.
    upgrade: Option<&'h [u8]>,
    /// The elements of Connection that pass.
    kept: Vec<&'static [u8]>,
}

impl<'h> Options<'h> {
    fn of(head: &RequestHead<'h>) -> Self {
        let named: Vec<_> = head.values("connection").flat_map(elements).collect();
        let names = |option: &[u8]| named.iter().any(|named| named.eq_ignore_ascii_case(option));
        let mut values = head.values("upgrade");
        let can_upgrade = names(b"upgrade") && head.can_upgrade();
        let upgrade = values.next().filter(|_| can_upgrade && values.next().is_none());
        let upgrade = upgrade.filter(|value| !elements(value).any(is_http));
        let is_kept = |option: &&[u8]| match *option {
            b"Upgrade" => upgrade.is_some(),
            b"keep-alive" => head.line.is_old() && names(option),
            option => names(option),
        };
        let kept = [&b"Upgrade"[..], b"close", b"keep-alive"].into_iter().filter(is_kept).collect();
        Self { named, upgrade, kept }
    }

    fn is_named(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether a field is still to be written, by the other rules.
    fn lets_pass(&self, name: &str, value: &[u8], output: &mut Output) -> bool {
        let (passes, is_whole) = match of_connection(name) {
            None => (!self.is_named(name), !self.is_named(name)),
            Some(Hop::Checked) => (true, true),
            Some(Hop::Placed) => (false, true),
            Some(Hop::Drop) => (false, false),
            Some(Hop::Connection) => (false, elements(value).all(|option| self.keeps(option))),
            Some(Hop::Upgrade) => (false, self.upgrade.is_some()),
            Some(Hop::Expect) => {
                let passes = value.eq_ignore_ascii_case(b"100-continue");
                (passes, passes)
            }
        };
        if !is_whole {
            output.removed(Subject::ConnectionOption);
        }
        passes
    }

    fn keeps(&self, option: &[u8]) -> bool {
        self.kept.iter().any(|kept| kept.eq_ignore_ascii_case(option))
    }

    fn write(&self, output: &mut Output) {
        if let Some(protocol) = self.upgrade {
            output.line(&[b"Upgrade: ", protocol]);
        }
        if !self.kept.is_empty() {
            output.line(&[b"Connection: ", &self.kept.join(&b", "[..])]);
        }
    }
}
