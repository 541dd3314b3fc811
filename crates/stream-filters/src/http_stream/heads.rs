use alloc::vec::Vec;

use super::{request::RequestLine, syntax::MAX_FIELDS};
use crate::Cut;

/// The longest head of a request: several cookies of the largest size that browsers keep.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Empty lines that are skipped before a request (RFC 9112 section 2.2): a few old clients send one behind a body.
const MAX_EMPTY_LINES: usize = 4;

/// Takes heads of requests out of chunks. It holds one whose end has not come yet.
///
/// Each line is checked once it has ended: lines end with CR and LF, have no other control characters than tabs, and the first one is that
/// of a request. So a client that speaks another protocol does not wait for an answer that cannot come.
#[derive(Debug, Default)]
pub(super) struct Heads {
    held: Vec<u8>,
    line_start: usize,
    lines: usize,
    empty_lines: usize,
}

impl Heads {
    /// Takes the next head out of the chunk, with its empty line. `None` once the chunk is used up; the rest of it is held.
    pub(super) fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Vec<u8>>, Cut> {
        while !chunk.is_empty() {
            let end = chunk.iter().position(|&byte| byte == b'\n').map_or(chunk.len(), |at| at + 1);
            let (line, rest) = chunk.split_at(end);
            *chunk = rest;
            self.hold(line)?;
            if line.ends_with(b"\n") && self.end_line()? {
                return Ok(Some(core::mem::take(self).held));
            }
        }
        Ok(None)
    }

    fn hold(&mut self, line: &[u8]) -> Result<(), Cut> {
        let room = MAX_HEAD_BYTES - self.held.len();
        let kept = line.get(..room).unwrap_or(line);
        let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n');
        if kept.iter().any(is_control) {
            return Err(self.malformed());
        }
        if kept.len() < line.len() {
            return Err(Cut::HeadTooLong { limit: MAX_HEAD_BYTES });
        }
        self.held.extend_from_slice(kept);
        Ok(())
    }

    /// What is wrong with the current line.
    const fn malformed(&self) -> Cut {
        if self.lines == 0 { Cut::NotHttp } else { Cut::MalformedField }
    }

    /// Checks the line that has ended. Returns whether the head has.
    fn end_line(&mut self) -> Result<bool, Cut> {
        let line = self.held.get(self.line_start..).unwrap_or_default();
        let line = line.strip_suffix(b"\r\n").filter(|line| !line.contains(&b'\r')).ok_or(Cut::LineEnd)?;
        match (line, self.lines) {
            (b"", 0) if self.empty_lines == MAX_EMPTY_LINES => return Err(Cut::NotHttp),
            (b"", 0) => {
                self.empty_lines += 1;
                self.held.clear();
                return Ok(false);
            }
            (b"", _) => return Ok(true),
            (line, 0) => {
                RequestLine::parse(line)?;
            }
            (_, lines) if lines > MAX_FIELDS => return Err(Cut::TooManyFields { limit: MAX_FIELDS }),
            _ => {}
        }
        self.lines += 1;
        self.line_start = self.held.len();
        Ok(false)
    }
}
