//! The header of a message (RFC 5322 section 2.2): field by field.

use alloc::vec::Vec;

use crate::{
    Output, Subject,
    mail::{
        date,
        fields::{FIELDS, Field},
        identifiers::{self, Part},
    },
    rule::find,
};

/// Fields that are rewritten are held for as long as they continue. A longer one does not pass.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// A header on its way, line by line.
#[derive(Debug, Default)]
pub(super) struct Header {
    last: Last,
}

/// The field that the next line can continue.
#[derive(Debug, Default)]
enum Last {
    /// It passes, or its lines do not.
    #[default]
    Dropped,
    Passed,
    /// It is rewritten once it has ended: its name, and its value so far.
    Held(Field, Vec<u8>, Vec<u8>),
}

impl Header {
    /// A line of the header, without its end.
    pub(super) fn line(&mut self, line: &[u8], output: &mut Output) {
        if let [b' ' | b'\t', ..] = line {
            return self.continuation(line, output);
        }
        self.end(output);
        let Some((name, value)) = split(line) else {
            return output.removed(Subject::Malformed);
        };
        self.last = match find(FIELDS, name) {
            None => {
                output.removed(Subject::UnknownField);
                Last::Dropped
            }
            Some(Field::Drop(subject)) => {
                output.removed(subject);
                Last::Dropped
            }
            Some(Field::Pass) => {
                output.line(&[name, b":", value]);
                Last::Passed
            }
            Some(field) => Last::Held(field, name.to_vec(), value.to_vec()),
        };
    }

    fn continuation(&mut self, line: &[u8], output: &mut Output) {
        match &mut self.last {
            Last::Dropped => {}
            Last::Passed => output.line(&[line]),
            Last::Held(_, _, value) if value.len() + line.len() <= MAX_HELD_BYTES => {
                value.extend_from_slice(line);
            }
            Last::Held(..) => {
                output.removed(Subject::UnknownField);
                self.last = Last::Dropped;
            }
        }
    }

    /// The header has ended, or another field begins.
    pub(super) fn end(&mut self, output: &mut Output) {
        let Last::Held(field, name, value) = core::mem::take(&mut self.last) else { return };
        match field {
            Field::Pass | Field::Drop(_) => {}
            Field::Date => match date::in_utc(&value) {
                Some(date) => {
                    output.replaced(Subject::TimeZone);
                    output.line(&[&name, b": ", date.as_bytes()]);
                }
                None => output.removed(Subject::TimeZone),
            },
            Field::MimeVersion => {
                if value.trim_ascii() != b"1.0" {
                    output.replaced(Subject::Program);
                }
                output.line(&[&name, b": 1.0"]);
            }
            Field::Messages => messages(&name, &value, output),
        }
    }
}

/// The name and the value of a field. A name has no blanks and no control bytes.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at(colon);
    let name = name.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic) && !value.contains(&0);
    is_name.then_some((name, value.get(1..)?))
}

/// Identifiers of public machines, one or two in a line.
fn messages(name: &[u8], value: &[u8], output: &mut Output) {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut has_words = false;
    for part in identifiers::parts(value) {
        match part {
            Part::Public(id) => kept.push(id),
            Part::Local(_) => output.removed(Subject::MessageId),
            Part::Other(byte) => has_words |= !matches!(byte, b' ' | b'\t'),
        }
    }
    if has_words {
        output.removed(Subject::MessageId);
    }
    for (position, id) in kept.iter().enumerate() {
        let before = if position == 0 { [name, &b": "[..]].concat() } else { b" ".to_vec() };
        output.bytes.extend_from_slice(&before);
        output.bytes.extend_from_slice(id);
        if position + 1 == kept.len() || id.len() > 60 || position % 2 == 1 {
            output.line(&[]);
        }
    }
}
