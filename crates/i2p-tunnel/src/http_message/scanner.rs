use super::{
    refusal::Refusal,
    syntax::{MAX_FIELDS, MAX_HEAD_BYTES},
};

/// Empty lines that are skipped before a request line (RFC 9112 section 2.2): a few old clients send one behind a body.
const MAX_EMPTY_LINES: usize = 4;

/// Finds the end of a head while it arrives. Each byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    at: usize,
    line_start: usize,
    lines: usize,
    empty_lines: usize,
}

/// What a scanner has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The head is not complete.
    More,
    /// A head with its empty line, at this range.
    Head {
        start: usize,
        end: usize,
    },
    Refused(Refusal),
}

impl HeadScanner {
    /// Looks at what has arrived since the last call. `bytes` also has all that came before.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut before = self.at.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or_default();
        while let Some(&byte) = bytes.get(self.at) {
            if self.at >= MAX_HEAD_BYTES {
                return Scanned::Refused(Refusal::HeadTooLong);
            }
            match (before, byte) {
                (b'\r', b'\n') => {
                    if let Some(found) = self.end_line() {
                        return found;
                    }
                }
                (b'\r', _) | (_, b'\n') => return Scanned::Refused(Refusal::BareLineEnd),
                (_, b'\r' | b'\t') => {}
                (_, 0..=31 | 127) => return Scanned::Refused(Refusal::ControlByte),
                _ => {}
            }
            before = byte;
            self.at += 1;
        }
        Scanned::More
    }

    /// Ends the line whose line feed is the current byte. Returns what that means, unless the head goes on.
    fn end_line(&mut self) -> Option<Scanned> {
        let (start, end) = (self.line_start, self.at + 1);
        self.line_start = end;
        let is_empty = end - start == 2;
        match (is_empty, self.lines) {
            (true, 0) => {
                self.empty_lines += 1;
                (self.empty_lines > MAX_EMPTY_LINES).then_some(Scanned::Refused(Refusal::RequestLine))
            }
            (true, _) => {
                let start = self.empty_lines * 2;
                *self = Self::default();
                Some(Scanned::Head { start, end })
            }
            (false, lines) => {
                self.lines += 1;
                (lines > MAX_FIELDS).then_some(Scanned::Refused(Refusal::TooManyFields))
            }
        }
    }
}
