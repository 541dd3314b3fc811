use alloc::vec::Vec;

use super::{
    append, literal,
    masked::Masked,
    rules::{COMMANDS, Command, UID_COMMANDS},
};
use crate::{Cut, Output, Subject, command::REFUSED, line::Lines, rule::find, sasl};

/// Clients name many messages in a line.
const MAX_LINE_BYTES: usize = 32 * 1024;
/// Tags are short.
const MAX_TAG_BYTES: usize = 32;

/// The client's direction.
#[derive(Debug)]
pub(super) struct Client {
    lines: Lines,
    state: State,
    /// The command that is not complete, or that waits.
    tag: Vec<u8>,
    /// The command is an APPEND that goes on after a literal.
    append: Option<append::Before>,
}

/// What comes next.
#[derive(Debug)]
enum State {
    Command,
    /// The client has to wait.
    Waits(Announced),
    Authentication,
    Idle,
    /// Bytes of a literal.
    Literal(u64),
    /// The same, of a message.
    Message(u64, Masked),
    /// The command goes on after a literal.
    Rest,
}

/// What comes once the server agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Literal { length: u64, is_message: bool },
    Authentication,
    Tls,
}

impl Default for Client {
    fn default() -> Self {
        Self { lines: Lines::new(MAX_LINE_BYTES), state: State::Command, tag: Vec::new(), append: None }
    }
}

impl Client {
    /// Takes all of the chunk.
    pub(super) fn take(&mut self, chunk: &mut &[u8], output: &mut Output) -> Result<(), Cut> {
        loop {
            match &mut self.state {
                State::Waits(_) if !chunk.is_empty() => return Err(Cut::EarlyData),
                State::Literal(left) => {
                    let bytes = literal::take(chunk, left);
                    output.bytes.extend_from_slice(bytes);
                    if *left > 0 {
                        return Ok(());
                    }
                    self.state = State::Rest;
                }
                State::Message(left, masked) => {
                    let bytes = literal::take(chunk, left);
                    masked.take(bytes, output);
                    if *left > 0 {
                        return Ok(());
                    }
                    masked.end(output);
                    self.state = State::Rest;
                }
                _ => {}
            }
            let Some(line) = self.lines.next(chunk)? else { return Ok(()) };
            match &self.state {
                State::Authentication => {
                    let data = sasl::data(line, output);
                    output.line(&[data]);
                    self.state = State::Waits(Announced::Authentication);
                }
                State::Idle => {
                    if !line.eq_ignore_ascii_case(b"DONE") {
                        output.removed(Subject::Malformed);
                    }
                    output.line(&[b"DONE"]);
                    self.state = State::Command;
                }
                State::Rest => {
                    let line = line.to_vec();
                    self.rest_of_command(&line, output)?;
                }
                _ => {
                    let line = line.to_vec();
                    self.command(&line, output)?;
                }
            }
        }
    }

    /// The server wants what was announced.
    pub(super) fn go_on(&mut self) {
        self.state = match core::mem::replace(&mut self.state, State::Command) {
            State::Waits(Announced::Literal { length, is_message: true }) => {
                State::Message(length, Masked::default())
            }
            State::Waits(Announced::Literal { length, is_message: false }) => State::Literal(length),
            State::Waits(Announced::Authentication) => State::Authentication,
            other => other,
        };
    }

    /// A command has its answer. Returns whether both ends go over to TLS.
    pub(super) fn is_answered(&mut self, tag: &[u8], is_ok: bool) -> bool {
        let is_waiting = matches!(self.state, State::Waits(_) | State::Authentication | State::Idle);
        if !is_waiting || tag != self.tag {
            return false;
        }
        let is_tls = matches!(self.state, State::Waits(Announced::Tls));
        self.state = State::Command;
        self.append = None;
        is_tls && is_ok
    }

    fn command(&mut self, line: &[u8], output: &mut Output) -> Result<(), Cut> {
        let Some((tag, verb, words)) = split(line) else {
            // Some clients end IDLE when it has ended.
            if !line.is_empty() {
                output.removed(Subject::Malformed);
            }
            return match literal::announced(line) {
                Some(_) => Err(Cut::Literal),
                None => Ok(()),
            };
        };
        self.tag = tag.to_vec();
        let verb = verb.to_ascii_uppercase();
        let start = [tag, b" ", &verb].concat();
        let passes = |action: &Command| *action != Command::Uid || is_uid_command(words);
        let action = find(COMMANDS, &verb).filter(passes).filter(|_| !line.contains(&0));
        match action {
            Some(Command::Pass | Command::Uid) => {
                output.line(&[&start, words]);
                self.announce(line, false);
            }
            Some(Command::Append) => {
                if !self.append(append::Before::Command, &start, words, output)? {
                    output.line(&[tag, b" ", REFUSED]);
                }
            }
            _ if literal::announced(line).is_some() => return Err(Cut::Literal),
            None => {
                output.removed(Subject::UnknownCommand);
                output.line(&[tag, b" ", REFUSED]);
            }
            Some(Command::Id) => {
                output.replaced(Subject::Program);
                output.line(&[&start, b" NIL"]);
            }
            Some(Command::Idle) => {
                output.line(&[&start]);
                self.state = State::Idle;
            }
            Some(Command::StartTls) => {
                output.line(&[&start]);
                self.state = State::Waits(Announced::Tls);
            }
            Some(Command::Authenticate) => match sasl::begin(words, output) {
                Some(words) => {
                    output.line(&[&start, b" ", &words]);
                    self.state = State::Waits(Announced::Authentication);
                }
                None => output.line(&[tag, b" ", REFUSED]),
            },
        }
        Ok(())
    }

    fn rest_of_command(&mut self, line: &[u8], output: &mut Output) -> Result<(), Cut> {
        match self.append {
            Some(before) => {
                if !self.append(before, b"", line, output)? {
                    output.line(&[b" ", REFUSED]);
                }
            }
            None => {
                output.line(&[line]);
                self.announce(line, false);
            }
        }
        Ok(())
    }

    /// Writes a line of APPEND. Returns whether it is one: otherwise, the caller writes a line that the server refuses.
    fn append(
        &mut self,
        before: append::Before,
        start: &[u8],
        line: &[u8],
        output: &mut Output,
    ) -> Result<bool, Cut> {
        let Some((becomes, next)) = append::line(line, before, output) else {
            if literal::announced(line).is_some() {
                return Err(Cut::Literal);
            }
            output.removed(Subject::Malformed);
            self.announce(b"", false);
            return Ok(false);
        };
        output.line(&[start, &becomes]);
        self.append = Some(next);
        self.announce(line, next != append::Before::Mailbox);
        Ok(true)
    }

    /// A line of a command ends it, or announces a literal.
    fn announce(&mut self, line: &[u8], is_message: bool) {
        self.state = match literal::announced(line) {
            None => {
                self.append = None;
                State::Command
            }
            Some((length, true)) => State::Waits(Announced::Literal { length, is_message }),
            Some((length, false)) if is_message => State::Message(length, Masked::default()),
            Some((length, false)) => State::Literal(length),
        };
    }
}

/// The tag, the command, and what follows with its blank.
fn split(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = line.iter().position(|&byte| byte == b' ')?;
    let (tag, rest) = line.split_at(blank);
    let rest = rest.get(1..)?;
    let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    let (verb, words) = rest.split_at(end);
    let is_tag = (1..=MAX_TAG_BYTES).contains(&tag.len())
        && tag.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte));
    (is_tag && !verb.is_empty()).then_some((tag, verb, words))
}

/// Whether the word after UID is that of a command that passes.
fn is_uid_command(words: &[u8]) -> bool {
    let name = words.strip_prefix(b" ").and_then(|words| words.split(|&byte| byte == b' ').next());
    name.is_some_and(|name| find(UID_COMMANDS, name).is_some())
}
