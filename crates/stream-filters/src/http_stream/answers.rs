use alloc::vec::Vec;

use super::{
    answer::{After, AnswerHead, Kind},
    body::Body,
};
use crate::{Cut, Output, line::Lines, waiting::Waiting};

/// What the head of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// The connection goes on with another protocol.
    Switch,
    /// A request has its answer.
    Request(Kind),
}

/// The longest line of a head. Nothing is held but a line.
const MAX_LINE_BYTES: usize = 32 * 1024;

/// With this, answers begin, in any spelling.
const START: &[u8] = b"HTTP/";

/// What the server says, and which request each answer is for.
///
/// What does not begin as an answer passes unchanged up to the end of the connection, such as the streams of old radio servers. It can
/// say what it wants: the client is still filtered, and is not let go.
#[derive(Debug)]
pub(super) struct Answers {
    lines: Lines,
    waiting: Waiting<Kind>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// So much of the beginning has come.
    Start(Vec<u8>),
    StatusLine,
    Fields(AnswerHead),
    Body(Body),
    /// What follows passes up to the end of the connection.
    Rest,
}

impl State {
    const START: Self = Self::Start(Vec::new());
}

impl Default for Answers {
    fn default() -> Self {
        Self { lines: Lines::new(MAX_LINE_BYTES), waiting: Waiting::new(), state: State::START }
    }
}

impl Answers {
    /// The client has sent a request.
    pub(super) fn expect(&mut self, kind: Kind) -> Result<(), Cut> {
        self.waiting.expect(kind)
    }

    /// Passes answers on up to the end of a head that answers a request. `None` once the chunk is used up.
    pub(super) fn next(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<Option<Answered>, Cut> {
        while !chunk.is_empty() {
            match &mut self.state {
                State::Start(_) => self.start(chunk, output)?,
                State::StatusLine | State::Fields(_) => {
                    if let Some(answered) = self.line(chunk, output)? {
                        return Ok(Some(answered));
                    }
                }
                State::Body(body) => {
                    if body.take(chunk, output)? {
                        self.state = State::START;
                    }
                }
                State::Rest => {
                    output.bytes.extend_from_slice(chunk);
                    *chunk = &[];
                }
            }
        }
        Ok(None)
    }

    /// A byte where an answer begins. Empty lines before it are skipped.
    fn start(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<(), Cut> {
        let State::Start(seen) = &mut self.state else { return Ok(()) };
        let Some((byte, rest)) = chunk.split_first() else { return Ok(()) };
        if seen.is_empty() && matches!(byte, b'\r' | b'\n') {
            *chunk = rest;
        } else if self.waiting.first().is_none() {
            // The client could take it for the answer to its next request (RFC 9112 section 9.2).
            return Err(Cut::UnaskedAnswer);
        } else if START.get(seen.len()).is_some_and(|expected| expected.eq_ignore_ascii_case(byte)) {
            seen.push(*byte);
            *chunk = rest;
            if seen.len() == START.len() {
                self.state = State::StatusLine;
            }
        } else {
            output.bytes.extend_from_slice(seen);
            self.state = State::Rest;
        }
        Ok(())
    }

    /// A line of a head.
    fn line(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<Option<Answered>, Cut> {
        let Some(line) = self.lines.next(chunk)? else { return Ok(None) };
        let Some(kind) = self.waiting.first() else { return Err(Cut::UnaskedAnswer) };
        let State::Fields(head) = &mut self.state else {
            let head = AnswerHead::parse(line, kind)?;
            output.line(&[START, line]);
            self.state = State::Fields(head);
            return Ok(None);
        };
        if !line.is_empty() {
            head.field(line, output)?;
            return Ok(None);
        }
        let after = head.end(output)?;
        self.state = match after {
            After::Answer | After::Interim | After::Switch => State::START,
            After::Body(framing) => State::Body(Body::of_answer(framing)),
            After::Rest => State::Rest,
        };
        if after == After::Interim {
            return Ok(None);
        }
        self.waiting.answer();
        Ok(Some(if after == After::Switch { Answered::Switch } else { Answered::Request(kind) }))
    }
}
