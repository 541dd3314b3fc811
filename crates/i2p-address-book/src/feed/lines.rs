use std::io::{self, BufRead};

use super::{Line, LineError, parse_line};

/// The longest line in bytes, without its end: two destinations of 616, two signatures, names, and room for keys that
/// the specification leaves to others.
pub const MAX_LINE: usize = 16 * 1024;

/// Why a line of a reader says nothing, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {error}")]
pub struct LineFailure {
    /// The line, counted from 1.
    pub number: u64,
    /// What is wrong with it.
    pub error: LineError,
}

/// The lines of a reader that say something, one after the other, in bounded memory.
///
/// A line that is too long is skipped without being kept; a bad one is an `Ok(Err(..))`, after which the next
/// comes. Lines end with LF or CR LF, the last with the end of the input. `Err` is an error of the reader.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
    /// Bytes that may still be taken.
    left: u64,
    cut: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads from `reader`, whose buffer is all that is read ahead.
    pub const fn new(reader: R) -> Self {
        Self::with_limit(reader, u64::MAX)
    }

    /// Reads at most `limit` bytes, ends of lines included. A line that goes beyond is not given, nor is any after it.
    pub const fn with_limit(reader: R, limit: u64) -> Self {
        Self { reader, number: 0, line: Vec::new(), left: limit, cut: false }
    }

    /// Whether there was more than the limit.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The number of lines so far, of any kind.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Reads one line into `self.line`. `Ok(None)` at the end or the limit; `Some(false)`: it was too long and is not there.
    fn read_line(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        if self.cut {
            return Ok(None);
        }
        let (mut any, mut fits) = (false, true);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(any.then_some(fits));
            }
            any = true;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let taken = piece.len() + usize::from(end.is_some());
            let Some(left) = self.left.checked_sub(taken as u64) else {
                self.cut = true;
                return Ok(None);
            };
            self.left = left;
            // One byte more than allowed, for the CR of a line that is as long as it may be.
            fits = fits && self.line.len().saturating_add(piece.len()) <= MAX_LINE + 1;
            if fits {
                self.line.extend_from_slice(piece);
            }
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(fits));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Result<Line, LineFailure>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let fits = match self.read_line() {
                Ok(fits) => fits?,
                Err(error) => return Some(Err(error)),
            };
            self.number = self.number.saturating_add(1);
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            let parsed = if fits { parse_line(line) } else { Err(LineError::TooLong) };
            match parsed {
                Ok(None) => {}
                Ok(Some(line)) => return Some(Ok(Ok(line))),
                Err(error) => return Some(Ok(Err(LineFailure { number: self.number, error }))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_takes_no_memory() {
        let input = vec![b'x'; 100 * MAX_LINE];
        let mut lines = Lines::new(io::BufReader::new(input.as_slice()));
        assert!(matches!(lines.next(), Some(Ok(Err(LineFailure { error: LineError::TooLong, .. })))));
        assert!(lines.line.capacity() <= 2 * MAX_LINE + 2, "{}", lines.line.capacity());
    }
}
