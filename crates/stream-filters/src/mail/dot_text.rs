use crate::Output;

/// Lines up to one with nothing but a dot (RFC 5321 section 4.1.1.4, RFC 1939 section 3). They pass, whatever they are.
///
/// Each end of a line becomes CR LF: if the two ends saw different lines, one of them could take for commands what is text for the
/// other.
#[derive(Debug, Default)]
pub(super) struct DotText {
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    /// A dot at the start of a line, held back.
    Dot,
    Line,
    /// A CR, held back. The flag says whether the line was a dot.
    Cr {
        is_dot: bool,
    },
}

impl DotText {
    /// Takes what belongs to the text out of the chunk. Returns whether it has ended.
    pub(super) fn take(&mut self, chunk: &mut &[u8], output: &mut Output) -> bool {
        while let Some((&byte, rest)) = chunk.split_first() {
            if let Place::Cr { is_dot } = self.place {
                // A CR ends the line, with or without the LF.
                *chunk = if byte == b'\n' { rest } else { chunk };
                if self.end_line(is_dot, output) {
                    return true;
                }
                continue;
            }
            let is_dot = self.place == Place::Dot;
            match byte {
                b'\r' => self.place = Place::Cr { is_dot },
                b'\n' => {
                    *chunk = rest;
                    if self.end_line(is_dot, output) {
                        return true;
                    }
                    continue;
                }
                b'.' if self.place == Place::LineStart => self.place = Place::Dot,
                _ => {
                    if is_dot {
                        output.bytes.push(b'.');
                    }
                    self.place = Place::Line;
                    let end =
                        chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(chunk.len());
                    let (words, rest) = chunk.split_at(end);
                    output.bytes.extend_from_slice(words);
                    *chunk = rest;
                    continue;
                }
            }
            *chunk = rest;
        }
        false
    }

    fn end_line(&mut self, is_dot: bool, output: &mut Output) -> bool {
        self.place = Place::LineStart;
        output.line(&[if is_dot { b"." } else { b"" }]);
        is_dot
    }
}
