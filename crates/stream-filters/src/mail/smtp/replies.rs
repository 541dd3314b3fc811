use super::rules::{CAPABILITIES, Capability};
use crate::{Cut, Output, Subject, line::Lines, rule::find, sasl, waiting::Waiting};

/// The command that a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    /// Its reply lists the capabilities.
    Hello,
    Data,
    StartTls,
    Authentication,
}

/// Replies have lines of 512 bytes. Some servers write more.
const MAX_LINE_BYTES: usize = 4096;

/// What the server says, and which command each reply answers.
#[derive(Debug)]
pub(super) struct Replies {
    lines: Lines,
    waiting: Waiting<Kind>,
    /// The reply has lines that the client got.
    is_continued: bool,
}

impl Default for Replies {
    fn default() -> Self {
        let waiting = Waiting::for_greeting(Kind::Other);
        Self { lines: Lines::new(MAX_LINE_BYTES), waiting, is_continued: false }
    }
}

impl Replies {
    /// The client has sent a command.
    pub(super) fn expect(&mut self, kind: Kind) -> Result<(), Cut> {
        self.waiting.expect(kind)
    }

    /// Passes replies on up to the end of one. Returns which command it answers, and its code. `None` once the chunk is used up.
    pub(super) fn next(
        &mut self,
        chunk: &mut &[u8],
        output: &mut Output,
    ) -> Result<Option<(Kind, [u8; 3])>, Cut> {
        while let Some(line) = self.lines.next(chunk)? {
            let Some((code, is_last, text)) = split(line) else {
                output.removed(Subject::Malformed);
                continue;
            };
            let kind = self.waiting.first().unwrap_or(Kind::Other);
            let is_capability = kind == Kind::Hello && &code == b"250" && self.is_continued;
            let kept = if is_capability { capability(text, output) } else { Some(text.to_vec()) };
            let mark: &[u8] = if is_last { b" " } else { b"-" };
            match kept {
                Some(text) => output.line(&[&code, mark, &text]),
                // The last line must be there.
                None if is_last => output.line(&[&code, b" OK"]),
                None => {}
            }
            self.is_continued = !is_last;
            if is_last {
                self.waiting.answer();
                return Ok(Some((kind, code)));
            }
        }
        Ok(None)
    }
}

/// The code of a reply, whether the line is its last one, and the text.
fn split(line: &[u8]) -> Option<([u8; 3], bool, &[u8])> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    let is_code = code.iter().all(u8::is_ascii_digit) && !line.contains(&0);
    let (is_last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    is_code.then_some((*code, is_last, text))
}

/// What a line with a capability becomes. Old servers write `AUTH=` for `AUTH `.
fn capability(text: &[u8], output: &mut Output) -> Option<alloc::vec::Vec<u8>> {
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'=')).unwrap_or(text.len());
    let (name, words) = text.split_at(end);
    match find(CAPABILITIES, name) {
        None => {
            output.removed(Subject::Capability);
            None
        }
        Some(Capability::Pass) => Some(text.to_vec()),
        Some(Capability::Mechanisms) => Some([name, &sasl::known_of(words, output)].concat()),
    }
}
