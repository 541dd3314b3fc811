use alloc::vec::Vec;

use crate::Cut;

/// Takes lines out of chunks. It holds a line whose end has not come yet, up to a limit, and copies nothing else.
///
/// A line ends at CR, LF or both. Programs disagree on whether one of them alone ends a line; what one takes for the middle of a line
/// must not be a command for the other. So a filter takes every end, and writes CR LF. The byte after a CR decides which end it is, so
/// a line is held until that has come.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The line so far, with its CR if that came last.
    held: Vec<u8>,
    limit: usize,
    /// The line that is held was given to the caller.
    is_given: bool,
    /// Only CR LF is an end.
    is_strict: bool,
}

impl Lines {
    /// Lines of at most this many bytes, without their ends.
    pub(crate) const fn new(limit: usize) -> Self {
        Self::with_ends(limit, false)
    }

    /// Lines that end at CR LF and nothing else.
    pub(crate) const fn strict(limit: usize) -> Self {
        Self::with_ends(limit, true)
    }

    const fn with_ends(limit: usize, is_strict: bool) -> Self {
        Self { held: Vec::new(), limit, is_given: false, is_strict }
    }

    /// Takes the next line out of the chunk, without its end. `None` once the chunk is used up; the rest of it is held. After a line,
    /// the chunk begins with the byte that follows its end.
    ///
    /// # Errors
    /// If the line is too long, or has another end than it may have.
    pub(crate) fn next<'l, 'c: 'l>(&'l mut self, chunk: &mut &'c [u8]) -> Result<Option<&'l [u8]>, Cut> {
        if self.is_given {
            self.held.clear();
            self.is_given = false;
        }
        if chunk.is_empty() {
            return Ok(None);
        }
        if self.held.last() == Some(&b'\r') {
            if self.is_strict && !chunk.starts_with(b"\n") {
                return Err(Cut::LineEnd);
            }
            *chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            self.held.pop();
            self.is_given = true;
            return Ok(Some(&self.held));
        }
        let end = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let (line, tail) = chunk.split_at(end.unwrap_or(chunk.len()));
        if self.held.len() + line.len() > self.limit {
            return Err(Cut::LineTooLong { limit: self.limit });
        }
        match tail {
            [] | [b'\r'] => {
                self.held.extend_from_slice(chunk);
                *chunk = &[];
                return Ok(None);
            }
            [b'\r', b'\n', rest @ ..] => *chunk = rest,
            [_, ..] if self.is_strict => return Err(Cut::LineEnd),
            [_, rest @ ..] => *chunk = rest,
        }
        if self.held.is_empty() {
            return Ok(Some(line));
        }
        self.held.extend_from_slice(line);
        self.is_given = true;
        Ok(Some(&self.held))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, Cut> {
        lines_of(Lines::new(5), chunks)
    }

    fn lines_of(mut reader: Lines, chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, Cut> {
        let mut lines = vec![];
        for mut chunk in chunks.iter().copied() {
            while let Some(line) = reader.next(&mut chunk)? {
                lines.push(line.to_vec());
            }
        }
        Ok(lines)
    }

    #[test]
    fn every_end_is_an_end() {
        let input = b"a\r\nb\rc\n\r\n\n\r\rd\r\n\r";
        let expected: Vec<Vec<u8>> =
            [&b"a"[..], b"b", b"c", b"", b"", b"", b"", b"d"].iter().map(|line| line.to_vec()).collect();
        assert_eq!(lines(&[input]).unwrap(), expected);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(lines(&single).unwrap(), expected);
    }

    #[test]
    fn a_strict_line_has_one_end() {
        for chunks in [&[&b"a\r\nb\r\n"[..]][..], &[b"a\r", b"\nb", b"\r", b"\n"]] {
            assert_eq!(lines_of(Lines::strict(5), chunks).unwrap(), [b"a", b"b"]);
        }
        for chunks in [&[&b"a\n"[..]][..], &[b"a", b"\n"], &[b"a\rb"], &[b"a\r", b"b"], &[b"\r\r\n"]] {
            assert_eq!(lines_of(Lines::strict(5), chunks), Err(Cut::LineEnd));
        }
    }

    #[test]
    fn a_line_has_a_limit() {
        assert_eq!(lines(&[b"12345\n12345", b"\n"]).unwrap(), [b"12345", b"12345"]);
        for chunks in [&[&b"123456"[..]][..], &[b"123456\n"], &[b"123", b"456"], &[b"12345", b"6\n"]] {
            assert_eq!(lines(chunks), Err(Cut::LineTooLong { limit: 5 }));
        }
    }
}
