use std::io::{self, BufRead};

use super::{
    error::{LineError, MAX_LINE_BYTES},
    line::{Line, parse_line},
};

/// The byte order mark of UTF-8, with which some editors begin a file. It is no part of the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line that is not valid: its number and the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {error}")]
pub struct BadLine {
    /// The number of the line, counted from 1.
    pub number: u64,
    /// The error.
    pub error: LineError,
}

/// Iterates over the lines of a reader that are not empty and not comments, in bounded memory.
///
/// Lines end with LF or CR LF, the last one with the end of the input. A byte order mark before the first line is ignored.
/// `Ok(Err(..))` is a line that is not valid, after which the iteration goes on. `Err` is an error of the reader. A line that is too
/// long is skipped without being stored.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
    /// The number of bytes that may still be read.
    remaining: u64,
    limit_reached: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines from `reader`. It reads ahead no more than the buffer of `reader`.
    pub const fn new(reader: R) -> Self {
        Self::with_limit(reader, u64::MAX)
    }

    /// Reads lines from `reader`, at most `limit` bytes, line ends included. A line that exceeds the limit is not returned, and
    /// neither is any line after it.
    pub const fn with_limit(reader: R, limit: u64) -> Self {
        Self { reader, number: 0, line: Vec::new(), remaining: limit, limit_reached: false }
    }

    /// Whether the input exceeded the limit.
    #[must_use]
    pub const fn limit_reached(&self) -> bool {
        self.limit_reached
    }

    /// The number of lines read so far, of any kind.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Reads one line into `self.line`. Returns `Ok(None)` at the end of the input and at the limit.
    fn read_line(&mut self) -> io::Result<Option<RawLine>> {
        self.line.clear();
        if self.limit_reached {
            return Ok(None);
        }
        let (mut is_empty, mut raw) = (true, RawLine::Stored);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok((!is_empty).then_some(raw));
            }
            is_empty = false;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let taken = piece.len() + usize::from(end.is_some());
            let Some(remaining) = self.remaining.checked_sub(taken as u64) else {
                self.limit_reached = true;
                return Ok(None);
            };
            self.remaining = remaining;
            // One byte more than allowed, for the CR of a line of the maximum length.
            if self.line.len().saturating_add(piece.len()) > MAX_LINE_BYTES + 1 {
                raw = RawLine::TooLong;
            }
            if raw == RawLine::Stored {
                self.line.extend_from_slice(piece);
            }
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(raw));
            }
        }
    }
}

/// How a line was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RawLine {
    /// The line is stored.
    Stored,
    /// The line was skipped because it is too long.
    TooLong,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Result<Line, BadLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let raw = match self.read_line() {
                Ok(raw) => raw?,
                Err(error) => return Some(Err(error)),
            };
            let mark = if self.number == 0 { BYTE_ORDER_MARK } else { b"" };
            self.number = self.number.saturating_add(1);
            let line = self.line.strip_prefix(mark).unwrap_or(&self.line);
            let parsed = match raw {
                RawLine::Stored => parse_line(line.strip_suffix(b"\r").unwrap_or(line)),
                RawLine::TooLong => Err(LineError::TooLong),
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(line)) => return Some(Ok(Ok(line))),
                Err(error) => return Some(Ok(Err(BadLine { number: self.number, error }))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_not_stored() {
        let input = vec![b'x'; 100 * MAX_LINE_BYTES];
        let mut lines = Lines::new(io::BufReader::new(input.as_slice()));
        assert!(matches!(lines.next(), Some(Ok(Err(BadLine { error: LineError::TooLong, .. })))));
        assert!(lines.line.capacity() <= 2 * MAX_LINE_BYTES + 2, "{}", lines.line.capacity());
    }
}
