//! Takes a stream of SIP apart into messages (RFC 3261 sections 7 and 18.3).

use alloc::vec::Vec;

use crate::Cut;

/// The longest head of a message.
pub(super) const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The longest body. A description of a call has some 4 KiB.
pub(super) const MAX_BODY_BYTES: usize = 32 * 1024;
/// The most fields of a head.
const MAX_FIELDS: usize = 128;

/// A message, or a sign of life between messages (RFC 5626 section 4.4.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    KeepAlive,
    Message { start: Vec<u8>, fields: Vec<Field>, body: Vec<u8> },
}

/// A header field, unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// The messages of one direction. What is held is no complete message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    held: Vec<u8>,
    /// The head of the message, once it is complete, and how long its body is.
    head: Option<(Vec<u8>, Vec<Field>, usize)>,
}

impl Messages {
    /// The next complete unit of a chunk. What follows it stays in the chunk.
    ///
    /// # Errors
    /// If this is no SIP, is ambiguous, or is too long.
    pub(super) fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Unit>, Cut> {
        loop {
            if let Some((_, _, length)) = &self.head {
                let missing = length.saturating_sub(self.held.len());
                let (body, rest) = chunk.split_at(missing.min(chunk.len()));
                self.held.extend_from_slice(body);
                *chunk = rest;
                if body.len() < missing {
                    return Ok(None);
                }
                let body = core::mem::take(&mut self.held);
                let message =
                    self.head.take().map(|(start, fields, _)| Unit::Message { start, fields, body });
                return Ok(message);
            }
            let Some((&byte, rest)) = chunk.split_first() else { return Ok(None) };
            *chunk = rest;
            if self.held.len() == MAX_HEAD_BYTES {
                return Err(Cut::HeadTooLong { limit: MAX_HEAD_BYTES });
            }
            self.held.push(byte);
            if self.held == b"\r\n" {
                self.held.clear();
                return Ok(Some(Unit::KeepAlive));
            }
            if byte == b'\n' && !self.held.ends_with(b"\r\n") {
                return Err(Cut::LineEnd);
            }
            if self.held.ends_with(b"\r\n\r\n") {
                let (start, fields) = parse(&self.held)?;
                let length = length(&fields)?;
                self.held.clear();
                self.head = Some((start, fields, length));
            }
        }
    }
}

/// Whether a line begins a request (RFC 3261 section 7.1): a method, a URI, and the version.
fn is_request(start: &[u8]) -> bool {
    let mut words = start.split(|&byte| byte == b' ');
    let [Some(method), Some(_), Some(b"SIP/2.0"), None] = [(); 4].map(|()| words.next()) else {
        return false;
    };
    is_token(method)
}

/// Whether a line begins a response (RFC 3261 section 7.2): the version, a code of three digits, and words.
fn is_status_line(start: &[u8]) -> bool {
    let mut words = start.splitn(3, |&byte| byte == b' ');
    let is_code = |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_digit);
    words.next() == Some(b"SIP/2.0") && words.next().is_some_and(is_code)
}

/// Whether this is a token (RFC 3261 section 25.1).
fn is_token(word: &[u8]) -> bool {
    let is_of_tokens = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte);
    !word.is_empty() && word.iter().all(is_of_tokens)
}

fn parse(head: &[u8]) -> Result<(Vec<u8>, Vec<Field>), Cut> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let start = lines.next().unwrap_or_default().to_vec();
    if has_control(&start) || !(is_request(&start) || is_status_line(&start)) {
        return Err(Cut::NotSip);
    }
    let mut fields: Vec<Field> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if has_control(line) || fields.len() == MAX_FIELDS {
            return Err(Cut::NotSip);
        }
        if let [b' ' | b'\t', ..] = line {
            let last = fields.last_mut().ok_or(Cut::NotSip)?;
            let rest = line.trim_ascii();
            let blank = !rest.is_empty() && !last.value.is_empty();
            last.value.extend_from_slice(if blank { b" " } else { b"" });
            last.value.extend_from_slice(rest);
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').ok_or(Cut::NotSip)?;
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii_end();
        if !is_token(name) {
            return Err(Cut::NotSip);
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        fields.push(Field { name: name.to_vec(), value: value.to_vec() });
    }
    Ok((start, fields))
}

fn has_control(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// The length of the body. On a stream, a message without one has none (section 20.14).
fn length(fields: &[Field]) -> Result<usize, Cut> {
    let is_length = |field: &&Field| {
        field.name.eq_ignore_ascii_case(b"Content-Length") || field.name.eq_ignore_ascii_case(b"l")
    };
    let mut lengths = fields.iter().filter(is_length);
    let Some(field) = lengths.next() else { return Ok(0) };
    let digits =
        core::str::from_utf8(&field.value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok()).ok_or(Cut::AmbiguousLength)?;
    if lengths.next().is_some() {
        return Err(Cut::AmbiguousLength);
    }
    if length > MAX_BODY_BYTES { Err(Cut::BodyTooLong { limit: MAX_BODY_BYTES }) } else { Ok(length) }
}
