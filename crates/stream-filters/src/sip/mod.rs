//! SIP over a stream (RFC 3261), with descriptions of calls (RFC 8866), in both directions.
//!
//! A message is held until it is complete, and written anew. The addresses of the machine become ones that say nothing (RFC 3323). What a
//! program needs back in the answers, it gets back: its own Via, by the branch, and its own Call-ID.

mod address;
mod description;
mod messages;
mod rules;

use alloc::{collections::VecDeque, vec::Vec};

use self::{
    address::{NOBODY, host_of, tells, without_hosts},
    messages::{Field, Messages, Unit},
    rules::{FIELDS, Header, LINES},
};
use crate::{
    Cut, ListedRule, Next, Output, Subject,
    rule::{Place, Side, find, listed},
};

/// Requests and calls that are remembered. The oldest are forgotten.
const MAX_REMEMBERED: usize = 32;
/// The longest value that is remembered.
const MAX_REMEMBERED_BYTES: usize = 512;

pub(crate) fn rules() -> Vec<ListedRule> {
    let fields = listed(FIELDS, Side::Client, Place::Field);
    fields.chain(listed(LINES, Side::Client, Place::Parameter)).collect()
}

/// The filter of a connection.
#[derive(Debug, Default)]
pub(crate) struct Sip {
    client: Messages,
    server: Messages,
    /// The program's own values of Via, by their branches.
    vias: Remembered,
    /// The program's own values of Call-ID, by what the server gets.
    calls: Remembered,
    /// Values of Call-ID that the server has chosen.
    of_server: Remembered,
}

/// Pairs of which the oldest are forgotten.
#[derive(Debug, Default)]
struct Remembered(VecDeque<(Vec<u8>, Vec<u8>)>);

impl Remembered {
    fn find(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_slice())
    }

    fn keep(&mut self, key: &[u8], value: &[u8]) {
        if self.find(key).is_some() || key.len() + value.len() > 2 * MAX_REMEMBERED_BYTES {
            return;
        }
        if self.0.len() == MAX_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((key.to_vec(), value.to_vec()));
    }
}

fn is_response(start: &[u8]) -> bool {
    start.starts_with(b"SIP/2.0 ")
}

/// The first line of a response without the words behind its code (RFC 3261 section 7.2). They may be missing: they are for people, and
/// programs can put their names there.
fn without_phrase(start: &[u8], output: &mut Output) -> Vec<u8> {
    let code = start.splitn(3, |&byte| byte == b' ').nth(1).unwrap_or_default();
    let written = [b"SIP/2.0 ", code, b" "].concat();
    if written != start {
        output.removed(Subject::Words);
    }
    written
}

fn put_field(written: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value.trim_ascii(), b"\r\n"] {
        written.extend_from_slice(part);
    }
}

/// Ends a message with the length of its body, under the name that the sender gives it.
fn finish(mut written: Vec<u8>, fields: &[Field], body: &[u8], output: &mut Output) {
    let own = fields.iter().find(|field| find(FIELDS, &field.name) == Some(Header::Length));
    let name = own.map_or(&b"Content-Length"[..], |field| field.name.as_slice());
    put_field(&mut written, name, alloc::format!("{}", body.len()).as_bytes());
    output.bytes.extend(written);
    output.bytes.extend_from_slice(b"\r\n");
    output.bytes.extend_from_slice(body);
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// A description of a call.
    Description,
    /// Words of a person.
    Text,
    /// Something that no rule knows, or that can be read in two ways.
    Unknown,
}

impl Body {
    fn of(fields: &[Field]) -> Self {
        let is_type = |field: &&Field| {
            field.name.eq_ignore_ascii_case(b"Content-Type") || field.name.eq_ignore_ascii_case(b"c")
        };
        let mut types = fields.iter().filter(is_type);
        let (Some(Field { value, .. }), None) = (types.next(), types.next()) else { return Self::Unknown };
        let kind = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case(b"application/sdp") {
            Self::Description
        } else if kind.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/")) {
            Self::Text
        } else {
            Self::Unknown
        }
    }
}

impl Sip {
    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(unit) = self.client.next(&mut chunk)? {
            match unit {
                Unit::KeepAlive => output.bytes.extend_from_slice(b"\r\n"),
                Unit::Message { start, fields, body } => self.client_message(&start, &fields, &body, output),
            }
        }
        Ok(Next::Filter)
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(unit) = self.server.next(&mut chunk)? {
            match unit {
                Unit::KeepAlive => output.bytes.extend_from_slice(b"\r\n"),
                Unit::Message { start, fields, body } => self.server_message(&start, &fields, &body, output),
            }
        }
        Ok(Next::Filter)
    }

    fn client_message(&mut self, start: &[u8], fields: &[Field], body: &[u8], output: &mut Output) {
        let start_line =
            if is_response(start) { without_phrase(start, output) } else { without_hosts(start, false).0 };
        let mut written = [start_line.as_slice(), b"\r\n"].concat();
        for Field { name, value } in fields {
            match self.client_field(is_response(start), name, value, output) {
                Ok(Some(value)) => put_field(&mut written, name, &value),
                Ok(None) => {}
                Err(subject) => output.removed(subject),
            }
        }
        let body = match Body::of(fields) {
            Body::Description => description::filtered(body, output),
            Body::Text => body.to_vec(),
            Body::Unknown => {
                if !body.is_empty() {
                    output.removed(Subject::UnknownParameter);
                }
                Vec::new()
            }
        };
        finish(written, fields, &body, output);
    }

    /// What a field becomes; `None` if it is written elsewhere.
    fn client_field(
        &mut self,
        is_response: bool,
        name: &[u8],
        value: &[u8],
        output: &mut Output,
    ) -> Result<Option<Vec<u8>>, Subject> {
        let (value, is_changed) = match find(FIELDS, name).ok_or(Subject::UnknownField)? {
            Header::Pass => (value.to_vec(), false),
            Header::Drop(subject) => return Err(subject),
            Header::Length => return Ok(None),
            // What the one who asked has written goes back to it as it is.
            Header::Via | Header::Uri if is_response => (value.to_vec(), false),
            Header::Via => (self.via(value)?, true),
            Header::Contact => (contact(value), true),
            Header::Uri => without_hosts(value, false),
            Header::CallId => self.call_id(value),
        };
        if is_changed {
            output.replaced(Subject::Address);
        }
        Ok(Some(value))
    }

    /// The program's own Via, without its address.
    fn via(&mut self, value: &[u8]) -> Result<Vec<u8>, Subject> {
        let (protocol, rest) = split_once(value, b' ').ok_or(Subject::Malformed)?;
        let mut parameters = rest.split(|&byte| byte == b';').skip(1).map(<[u8]>::trim_ascii);
        let is_kept = |parameter: &&[u8]| {
            parameter.starts_with(b"branch=") || matches!(*parameter, b"rport" | b"alias")
        };
        let kept: Vec<&[u8]> = parameters.by_ref().filter(is_kept).collect();
        // Several values would be those of others, which a program does not write.
        if value.contains(&b',') || !kept.iter().any(|parameter| parameter.starts_with(b"branch=")) {
            return Err(Subject::Malformed);
        }
        let branch = kept.iter().find(|parameter| parameter.starts_with(b"branch="));
        self.vias.keep(branch.copied().unwrap_or_default(), value);
        let words = [&[NOBODY][..], &kept].concat();
        Ok([protocol, b" ", &words.join(&b';')].concat())
    }

    fn call_id(&mut self, value: &[u8]) -> (Vec<u8>, bool) {
        let own = split_once(value, b'@').filter(|(_, host)| tells(host_of(host)));
        match own.filter(|_| self.of_server.find(value).is_none()) {
            Some((short, _)) => {
                // The other side does not send spaces at the end back.
                let short = short.trim_ascii_end();
                self.calls.keep(short, value);
                (short.to_vec(), true)
            }
            None => (value.to_vec(), false),
        }
    }

    /// A message of the server passes, with what the program needs back, and without addresses in descriptions: the program would send
    /// sound there.
    fn server_message(&mut self, start: &[u8], fields: &[Field], body: &[u8], output: &mut Output) {
        let mut written = [start, b"\r\n"].concat();
        for Field { name, value } in fields {
            match find(FIELDS, name) {
                Some(Header::Length) => {}
                Some(Header::Via) if is_response(start) => {
                    let branch = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
                    let mut branch = branch.filter(|parameter| parameter.starts_with(b"branch="));
                    let own = branch.next().and_then(|branch| self.vias.find(branch));
                    put_field(&mut written, name, own.unwrap_or(value));
                }
                Some(Header::CallId) => {
                    if !is_response(start) && self.calls.find(value).is_none() {
                        self.of_server.keep(value, b"");
                    }
                    put_field(&mut written, name, self.calls.find(value).unwrap_or(value));
                }
                _ => put_field(&mut written, name, value),
            }
        }
        let is_description = Body::of(fields) == Body::Description;
        let body = if is_description { description::filtered(body, output) } else { body.to_vec() };
        finish(written, fields, &body, output);
    }
}

/// The program's own address, without the machine's, and without parameters that name the device.
fn contact(value: &[u8]) -> Vec<u8> {
    let (uri, parameters) = match value.iter().position(|&byte| byte == b'>') {
        Some(at) => value.split_at(at + 1),
        // Without brackets, parameters are those of the field.
        None => value.split_at(value.iter().position(|&byte| byte == b';').unwrap_or(value.len())),
    };
    let kept = parameters.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let kept = kept.filter(|parameter| parameter.starts_with(b"expires=") || parameter.starts_with(b"q="));
    let kept: Vec<u8> = kept.flat_map(|parameter| [b";", parameter].concat()).collect();
    [without_hosts(uri, true).0, kept].concat()
}

fn split_once(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == mark)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
