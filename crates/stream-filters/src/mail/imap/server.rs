use alloc::vec::Vec;

use super::{
    literal,
    rules::{CAPABILITIES, Capability},
};
use crate::{Cut, Output, Subject, rule::find, sasl};

/// Lines that the filter reads as a whole. Others, such as the numbers of all messages of a mailbox, are longer, and pass unread.
const MAX_READ_BYTES: usize = 8192;
/// The end of a line that can announce a literal.
const MAX_LITERAL_BYTES: usize = 24;

/// What the server says that changes what the client says next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It wants what the client has announced.
    GoOn,
    /// A command has ended.
    Tagged {
        /// The name of the command.
        tag: Vec<u8>,
        /// The server did it.
        is_ok: bool,
    },
}

/// The server's direction.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The line so far; of a long line, its end.
    held: Vec<u8>,
    is_long: bool,
    /// The line goes on after a literal.
    is_continued: bool,
    /// Bytes of a literal that are still to come.
    literal: u64,
}

impl Server {
    /// Passes what the server says, up to an answer. `None` once the chunk is used up.
    pub(super) fn next(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<Option<Answer>, Cut> {
        while !chunk.is_empty() {
            if self.literal > 0 {
                output.bytes.extend_from_slice(literal::take(chunk, &mut self.literal));
                continue;
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let (part, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
            *chunk = rest.get(1..).unwrap_or_default();
            if !self.is_long && self.held.len() + part.len() > MAX_READ_BYTES {
                self.begin_long(part)?;
                output.bytes.extend_from_slice(&self.held);
            }
            self.held.extend_from_slice(part);
            if self.is_long {
                output.bytes.extend_from_slice(part);
                self.held.drain(..self.held.len().saturating_sub(MAX_LITERAL_BYTES));
            }
            if end.is_some() {
                let answer = self.end_line(output);
                if answer.is_some() {
                    return Ok(answer);
                }
            }
        }
        Ok(None)
    }

    /// A line has become too long to be read. Only data may.
    fn begin_long(&mut self, part: &[u8]) -> Result<(), Cut> {
        let start: Vec<u8> = self.held.iter().chain(part).take(MAX_READ_BYTES).copied().collect();
        if !self.is_continued && !is_data(&start) {
            return Err(Cut::LineTooLong { limit: MAX_READ_BYTES });
        }
        self.is_long = true;
        Ok(())
    }

    fn end_line(&mut self, output: &mut Output) -> Option<Answer> {
        let is_long = core::mem::take(&mut self.is_long);
        let is_continued = core::mem::take(&mut self.is_continued);
        let line = core::mem::take(&mut self.held);
        let has_cr = line.last() == Some(&b'\r');
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if is_long {
            output.bytes.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
        } else if is_continued {
            output.line(&[line]);
        } else {
            without_capabilities(line, output);
        }
        if is_long || is_continued || is_data(line) {
            self.literal = literal::announced(line).map_or(0, |(length, _)| length);
            self.is_continued = literal::announced(line).is_some();
            return None;
        }
        answer(line)
    }
}

/// Whether a line has data, which can hold literals, and not a text for people, in which braces mean nothing.
fn is_data(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"* ") else { return false };
    let word = rest.split(|byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default();
    !["OK", "NO", "BAD", "BYE", "PREAUTH", "CAPABILITY"]
        .iter()
        .any(|other| other.as_bytes().eq_ignore_ascii_case(word))
}

fn answer(line: &[u8]) -> Option<Answer> {
    if line == b"+" || line.starts_with(b"+ ") {
        return Some(Answer::GoOn);
    }
    let mut words = line.split(|&byte| byte == b' ');
    let tag = words.next().filter(|tag| *tag != b"*")?;
    let status = words.next()?;
    let is_ok = status.eq_ignore_ascii_case(b"OK");
    let is_status = is_ok || status.eq_ignore_ascii_case(b"NO") || status.eq_ignore_ascii_case(b"BAD");
    is_status.then(|| Answer::Tagged { tag: tag.to_vec(), is_ok })
}

/// Writes a line, without capabilities that lead around the filter.
fn without_capabilities(line: &[u8], output: &mut Output) {
    const WORD: &[u8] = b"CAPABILITY ";
    let found = line.windows(WORD.len()).position(|part| part.eq_ignore_ascii_case(WORD));
    let starts_list = |at: usize| at == 2 || line.get(at.wrapping_sub(1)) == Some(&b'[');
    let Some(at) = found.filter(|at| !is_data(line) && starts_list(*at)) else {
        return output.line(&[line]);
    };
    let (before, list) = line.split_at(at + WORD.len());
    let end = list.iter().position(|&byte| byte == b']').unwrap_or(list.len());
    let (list, after) = list.split_at(end);
    let is_kept = |capability: &&[u8]| {
        let mut parts = capability.splitn(2, |&byte| byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        match find(CAPABILITIES, name) {
            None => true,
            Some(Capability::Drop) => false,
            Some(Capability::Mechanism) => value.is_none_or(sasl::is_known),
        }
    };
    let (kept, left): (Vec<&[u8]>, Vec<&[u8]>) =
        list.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).partition(is_kept);
    left.iter().for_each(|_| output.removed(Subject::Capability));
    output.line(&[before, &kept.join(&b' '), after]);
}
