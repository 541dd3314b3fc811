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

/// A line of a header that is longer is masked.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// A message whose length was announced: what must not pass in its header becomes the letter x, so the length stays.
#[derive(Debug, Default)]
pub(super) struct Masked {
    line: Vec<u8>,
    is_in_body: bool,
    /// What happens to a line that continues a field.
    fate: Fate,
    /// The line is masked up to its end.
    is_long: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Fate {
    #[default]
    Mask,
    Pass,
    Messages,
}

impl Masked {
    /// Takes all of the bytes.
    pub(super) fn take(&mut self, mut bytes: &[u8], output: &mut Output) {
        while !bytes.is_empty() && !self.is_in_body {
            let end = bytes.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            bytes = rest;
            if !self.is_long && self.line.len() + part.len() > MAX_HELD_BYTES {
                output.removed(Subject::UnknownField);
                output.bytes.extend_from_slice(&mask(&self.line));
                self.line.clear();
                self.is_long = true;
                self.fate = Fate::Mask;
            }
            if self.is_long {
                output.bytes.extend(part.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b'x' }));
                self.is_long = end.is_none();
                continue;
            }
            self.line.extend_from_slice(part);
            if end.is_some() {
                self.end(output);
            }
        }
        output.bytes.extend_from_slice(bytes);
    }

    /// A line has ended, or the message has, within a line.
    pub(super) fn end(&mut self, output: &mut Output) {
        let line = core::mem::take(&mut self.line);
        let words = line.strip_suffix(b"\n").unwrap_or(&line);
        let words = words.strip_suffix(b"\r").unwrap_or(words);
        let (words, end) = line.split_at(words.len());
        let masked = match words {
            [] => {
                self.is_in_body = !end.is_empty();
                Vec::new()
            }
            // Some programs would see the end of a line there.
            _ if words.contains(&b'\r') => self.removed(words, Subject::Malformed, output),
            [b' ' | b'\t', ..] => match self.fate {
                Fate::Mask => mask(words),
                Fate::Pass => words.to_vec(),
                Fate::Messages => mask_messages(words, output),
            },
            _ => self.field(words, output),
        };
        output.bytes.extend_from_slice(&masked);
        output.bytes.extend_from_slice(end);
    }

    fn field(&mut self, line: &[u8], output: &mut Output) -> Vec<u8> {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return self.removed(line, Subject::Malformed, output);
        };
        let (name, value) = line.split_at(colon + 1);
        let known = find(FIELDS, name.strip_suffix(b":").unwrap_or(name).trim_ascii_end());
        self.fate = Fate::Mask;
        match known {
            None => self.removed(line, Subject::UnknownField, output),
            Some(Field::Drop(subject)) => self.removed(line, subject, output),
            Some(Field::Pass) => {
                self.fate = Fate::Pass;
                line.to_vec()
            }
            Some(Field::Messages) => {
                self.fate = Fate::Messages;
                [name, &mask_messages(value, output)].concat()
            }
            Some(Field::MimeVersion) => match padded("1.0", value.len()) {
                Some(version) => [name, &version].concat(),
                None => self.removed(line, Subject::Program, output),
            },
            Some(Field::Date) => {
                let utc = date::in_utc(value).unwrap_or_default();
                // Without the day of the week, it is shorter.
                let (_, short) = utc.split_once(", ").unwrap_or_default();
                let fits = [utc.as_str(), short].into_iter().filter(|text| !text.is_empty());
                match fits.filter_map(|text| padded(text, value.len())).next() {
                    Some(utc) => {
                        output.replaced(Subject::TimeZone);
                        [name, &utc].concat()
                    }
                    None => self.removed(line, Subject::TimeZone, output),
                }
            }
        }
    }

    fn removed(&mut self, line: &[u8], subject: Subject, output: &mut Output) -> Vec<u8> {
        self.fate = Fate::Mask;
        output.removed(subject);
        mask(line)
    }
}

/// A blank, the text, and blanks up to the length.
fn padded(text: &str, length: usize) -> Option<Vec<u8>> {
    let mut padded = [b" ", text.as_bytes()].concat();
    (padded.len() <= length).then(|| {
        padded.resize(length, b' ');
        padded
    })
}

/// The same length, and still a field or a line that continues one: the blank at the start, or the first colon, stays.
fn mask(line: &[u8]) -> Vec<u8> {
    let continues = matches!(line, [b' ' | b'\t', ..]);
    let colon = line.iter().position(|&byte| byte == b':' && !continues);
    let masked = line.iter().enumerate().map(|(at, byte)| match byte {
        b' ' | b'\t' if at == 0 => *byte,
        b':' if Some(at) == colon && at > 0 => b':',
        _ => b'x',
    });
    masked.collect()
}

/// Identifiers of local machines are masked, but for their brackets, and so are words outside of identifiers.
fn mask_messages(text: &[u8], output: &mut Output) -> Vec<u8> {
    let mut masked = Vec::with_capacity(text.len());
    let mut has_words = false;
    for part in identifiers::parts(text) {
        match part {
            Part::Public(id) => masked.extend_from_slice(id),
            Part::Local(id) => {
                output.removed(Subject::MessageId);
                masked.extend(id.iter().map(|byte| if matches!(byte, b'<' | b'>') { *byte } else { b'x' }));
            }
            Part::Other(blank @ (b' ' | b'\t')) => masked.push(blank),
            Part::Other(_) => {
                has_words = true;
                masked.push(b'x');
            }
        }
    }
    if has_words {
        output.removed(Subject::MessageId);
    }
    masked
}
