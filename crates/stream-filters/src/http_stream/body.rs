//! Bodies (RFC 9112 sections 6 and 7). They pass as they come.

use alloc::format;

use super::syntax::MAX_FIELDS;
use crate::{Cut, Output, Subject, line::Lines};

/// The longest line between chunks, and of a field behind them.
const MAX_LINE_BYTES: usize = 4096;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes; 0 without a body.
    Length(u64),
    /// Where its chunks end.
    Chunked,
}

/// A body on its way.
#[derive(Debug)]
pub(super) enum Body {
    /// This many bytes are left.
    Length(u64),
    Chunked(Chunked),
}

impl Body {
    /// The body of a request. The chunks must be well-formed to the letter.
    pub(super) fn of_request(framing: Framing) -> Self {
        Self::new(framing, Lines::strict(MAX_LINE_BYTES), true)
    }

    /// The body of an answer. Its lines may have other ends, and blanks behind a size, as old servers write them.
    pub(super) fn of_answer(framing: Framing) -> Self {
        Self::new(framing, Lines::new(MAX_LINE_BYTES), false)
    }

    fn new(framing: Framing, lines: Lines, is_strict: bool) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked { lines, is_strict, state: State::Size, fields: 0 }),
        }
    }

    /// Takes what belongs to the body out of the chunk. Returns whether it has ended.
    pub(super) fn take(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<bool, Cut> {
        match self {
            Self::Length(left) => Ok(pass(left, chunk, output)),
            Self::Chunked(chunked) => chunked.take(chunk, output),
        }
    }
}

/// Passes on as many bytes as are left. Returns whether none is.
fn pass(left: &mut u64, chunk: &mut &[u8], output: &mut Output) -> bool {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.len());
    let (passed, rest) = chunk.split_at(here);
    output.bytes.extend_from_slice(passed);
    *chunk = rest;
    *left -= u64::try_from(here).unwrap_or(u64::MAX);
    *left == 0
}

/// A body in chunks. Their sizes are written anew, without extensions, and the fields behind the last one are left out.
#[derive(Debug)]
pub(super) struct Chunked {
    lines: Lines,
    is_strict: bool,
    state: State,
    /// Fields behind the last chunk, so far.
    fields: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Fields,
}

impl Chunked {
    fn take(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<bool, Cut> {
        loop {
            if let State::Data(left) = &mut self.state {
                if !pass(left, chunk, output) {
                    return Ok(false);
                }
                self.state = State::DataEnd;
            }
            let Some(line) = self.lines.next(chunk)? else { return Ok(false) };
            self.state = match (self.state, line) {
                (State::Size, line) => match size(line, self.is_strict, output)? {
                    0 => State::Fields,
                    size => State::Data(size),
                },
                (State::DataEnd, b"") => {
                    output.line(&[]);
                    State::Size
                }
                (State::Fields, b"") => {
                    output.line(&[]);
                    return Ok(true);
                }
                (State::Fields, _) if self.fields < MAX_FIELDS => {
                    self.fields += 1;
                    output.removed(Subject::UnknownField);
                    State::Fields
                }
                _ => return Err(Cut::Chunks),
            };
        }
    }
}

/// Reads the size of a chunk, and writes it without its extensions.
fn size(line: &[u8], is_strict: bool, output: &mut Output) -> Result<u64, Cut> {
    let end = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    let digits = if is_strict { digits } else { digits.trim_ascii_end() };
    // More digits than the number has serve no purpose.
    let is_size = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = core::str::from_utf8(digits).ok().filter(|_| is_size).ok_or(Cut::Chunks)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| Cut::Chunks)?;
    if !extensions.is_empty() {
        output.removed(Subject::ConnectionOption);
    }
    output.line(&[format!("{size:x}").as_bytes()]);
    Ok(size)
}
