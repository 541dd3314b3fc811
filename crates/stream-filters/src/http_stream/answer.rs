use alloc::{format, vec::Vec};

use super::{
    body::Framing,
    rules::of_answer,
    syntax::{elements, is_token, length},
};
use crate::{Cut, Output, Subject};

/// The request that an answer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    /// Its answer has no body.
    Head,
    Connect,
    /// The client asks for another protocol.
    Upgrade,
}

/// The longest list of transfer codings. There are five (RFC 9112 section 7).
const MAX_CODING_BYTES: usize = 256;

/// What follows the head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The answer itself: this head was an interim one.
    Interim,
    /// The next answer.
    Answer,
    /// Another protocol.
    Switch,
    Body(Framing),
    /// A body up to the end of the connection.
    Rest,
}

/// The head of an answer on its way, line by line. What says where the body ends comes last, once.
#[derive(Debug)]
pub(super) struct AnswerHead {
    kind: Kind,
    status: u16,
    is_old: bool,
    length: Option<u64>,
    coding: Option<Vec<u8>>,
    last: Last,
}

/// The field that the next line can continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Dropped,
    /// It passes. Its end is written once it is known that it has no further line.
    Passed,
    /// Its value is judged, so it has one line.
    Judged,
}

impl AnswerHead {
    /// Parses the first line, without `HTTP/`.
    pub(super) fn parse(line: &[u8], kind: Kind) -> Result<Self, Cut> {
        let is_old = line.starts_with(b"1.0 ");
        let rest = line.strip_prefix(if is_old { b"1.0 " } else { b"1.1 " }).ok_or(Cut::MalformedAnswer)?;
        let (code, reason) = rest.split_at_checked(3).ok_or(Cut::MalformedAnswer)?;
        let status = length(code).ok().and_then(|code| u16::try_from(code).ok());
        let status = status.filter(|status| (100..1000).contains(status)).ok_or(Cut::MalformedAnswer)?;
        if !matches!(reason, [] | [b' ', ..]) || line.contains(&0) {
            return Err(Cut::MalformedAnswer);
        }
        if status == 101 && kind != Kind::Upgrade {
            return Err(Cut::UnaskedAnswer);
        }
        Ok(Self { kind, status, is_old, length: None, coding: None, last: Last::Judged })
    }

    /// A line with a field, or one that continues it.
    pub(super) fn field(&mut self, line: &[u8], output: &mut Output) -> Result<(), Cut> {
        if let [b' ' | b'\t', ..] = line {
            return self.continuation(line, output);
        }
        self.end_field(output);
        let Some((name, value)) = split(line) else {
            output.removed(Subject::Malformed);
            self.last = Last::Dropped;
            return Ok(());
        };
        self.last = match of_answer(name, value) {
            _ if name.eq_ignore_ascii_case("content-length") => self.add_length(value)?,
            _ if name.eq_ignore_ascii_case("transfer-encoding") => self.add_coding(value)?,
            Some(subject) => {
                output.removed(subject);
                Last::Dropped
            }
            None if name.eq_ignore_ascii_case("upgrade") => {
                output.line(&[name.as_bytes(), b": ", value]);
                Last::Judged
            }
            None => {
                output.bytes.extend_from_slice(&[name.as_bytes(), b":"].concat());
                words(value, output);
                Last::Passed
            }
        };
        Ok(())
    }

    /// One value can stand there several times (RFC 9110 section 8.6).
    fn add_length(&mut self, value: &[u8]) -> Result<Last, Cut> {
        for digits in elements(value) {
            let given = length(digits)?;
            if *self.length.get_or_insert(given) != given {
                return Err(Cut::AmbiguousLength);
            }
        }
        Ok(Last::Judged)
    }

    fn add_coding(&mut self, value: &[u8]) -> Result<Last, Cut> {
        let coding = self.coding.get_or_insert_default();
        for element in elements(value).filter(|element| !element.eq_ignore_ascii_case(b"identity")) {
            if !coding.is_empty() {
                coding.extend_from_slice(b", ");
            }
            coding.extend_from_slice(element);
        }
        if coding.len() > MAX_CODING_BYTES { Err(Cut::AmbiguousLength) } else { Ok(Last::Judged) }
    }

    fn continuation(&mut self, line: &[u8], output: &mut Output) -> Result<(), Cut> {
        match self.last {
            Last::Judged => return Err(Cut::MalformedAnswer),
            Last::Passed if !line.contains(&0) => words(line.trim_ascii(), output),
            Last::Passed | Last::Dropped => output.removed(Subject::Malformed),
        }
        Ok(())
    }

    fn end_field(&mut self, output: &mut Output) {
        if core::mem::replace(&mut self.last, Last::Dropped) == Last::Passed {
            output.line(&[]);
        }
    }

    /// The head has ended. Writes where its body ends.
    pub(super) fn end(&mut self, output: &mut Output) -> Result<After, Cut> {
        self.end_field(output);
        let is_interim = self.status < 200;
        let is_tunnel = self.kind == Kind::Connect && (200..300).contains(&self.status);
        let is_empty = self.kind == Kind::Head || matches!(self.status, 204 | 304);
        let body = self.body()?;
        let says_length = !is_interim && !is_tunnel && self.status != 204;
        if says_length && let Some(coding) = self.coding() {
            output.line(&[b"Transfer-Encoding: ", coding]);
        } else if says_length && let Some(length) = self.length {
            output.line(&[b"Content-Length: ", format!("{length}").as_bytes()]);
        }
        output.line(&[]);
        Ok(match self.status {
            101 => After::Switch,
            _ if is_interim => After::Interim,
            _ if is_tunnel => After::Switch,
            _ if is_empty => After::Answer,
            _ => body,
        })
    }

    fn coding(&self) -> Option<&[u8]> {
        self.coding.as_deref().filter(|coding| !coding.is_empty())
    }

    /// The body, if there is one (RFC 9112 section 6.3).
    fn body(&self) -> Result<After, Cut> {
        let Some(coding) = self.coding() else {
            return Ok(self.length.map_or(After::Rest, |length| After::Body(Framing::Length(length))));
        };
        let is_chunked = |element: &[u8]| element.eq_ignore_ascii_case(b"chunked");
        let chunked = elements(coding).filter(|element| is_chunked(element)).count();
        match (elements(coding).last(), chunked) {
            // HTTP/1.0 has no transfer codings: clients differ in what they make of it.
            _ if self.is_old => Err(Cut::AmbiguousLength),
            (Some(last), 1) if is_chunked(last) => Ok(After::Body(Framing::Chunked)),
            (Some(_), 0) => Ok(After::Rest),
            _ => Err(Cut::AmbiguousLength),
        }
    }
}

/// The name and the value of a field. A blank before the colon is left out (RFC 9112 section 5.1).
fn split(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at(colon);
    let name = core::str::from_utf8(name.trim_ascii_end()).ok()?;
    let is_field = is_token(name.as_bytes()) && !line.contains(&0);
    is_field.then_some((name, value.get(1..)?.trim_ascii()))
}

/// A part of a value behind a blank.
fn words(words: &[u8], output: &mut Output) {
    if !words.is_empty() {
        output.bytes.push(b' ');
        output.bytes.extend_from_slice(words);
    }
}
