//! POP3 (RFC 1939, and RFC 2449, 2595, 5034).
//!
//! A command that does not pass becomes one that the server refuses, so each command has its answer. Messages pass to the client, with
//! CR LF at the end of each line, so that both ends agree on where one ends.

mod rules;

use alloc::vec::Vec;

use self::rules::{CAPABILITIES, COMMANDS, Capability, Command};
use crate::{
    Cut, ListedRule, Next, Output, Subject, command,
    line::Lines,
    mail::dot_text::DotText,
    rule::{Place, Side, find, listed},
    sasl,
    waiting::Waiting,
};

/// As in SMTP, the longest lines hold data of mechanisms.
const MAX_CLIENT_LINE_BYTES: usize = 12_288;
/// Lines of replies have 512 bytes. Some servers write more.
const MAX_SERVER_LINE_BYTES: usize = 4096;

pub(crate) fn rules() -> Vec<ListedRule> {
    let commands = listed(COMMANDS, Side::Client, Place::Command);
    commands.chain(listed(CAPABILITIES, Side::Server, Place::Capability)).collect()
}

/// The answer that a command gets if the server agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Text,
    Capabilities,
    Authentication,
    StartTls,
}

/// What the client says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Commands,
    /// It has to wait for the answer.
    Waits,
    /// One line of data for the mechanism.
    Authentication,
}

/// What the server says next.
#[derive(Debug)]
enum Server {
    Reply,
    Text(DotText),
    Capabilities,
}

/// The filter of a connection.
#[derive(Debug)]
pub(crate) struct Pop3 {
    client_lines: Lines,
    server_lines: Lines,
    client: Client,
    server: Server,
    waiting: Waiting<Kind>,
}

impl Default for Pop3 {
    fn default() -> Self {
        Self {
            client_lines: Lines::new(MAX_CLIENT_LINE_BYTES),
            server_lines: Lines::new(MAX_SERVER_LINE_BYTES),
            client: Client::Commands,
            server: Server::Reply,
            waiting: Waiting::for_greeting(Kind::Line),
        }
    }
}

impl Pop3 {
    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        loop {
            if self.client == Client::Waits && !chunk.is_empty() {
                return Err(Cut::EarlyData);
            }
            let Some(line) = self.client_lines.next(&mut chunk)? else { return Ok(Next::Filter) };
            if self.client == Client::Authentication {
                let data = sasl::data(line, output);
                output.line(&[data]);
                // The command itself still waits for its answer.
                self.client = Client::Waits;
                continue;
            }
            let kind = command(line, output);
            self.waiting.expect(kind)?;
            if matches!(kind, Kind::Authentication | Kind::StartTls) {
                self.client = Client::Waits;
            }
        }
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        loop {
            if let Server::Text(text) = &mut self.server {
                if !text.take(&mut chunk, output) {
                    return Ok(Next::Filter);
                }
                self.server = Server::Reply;
            }
            let Some(line) = self.server_lines.next(&mut chunk)? else { return Ok(Next::Filter) };
            if matches!(self.server, Server::Capabilities) {
                if line == b"." {
                    self.server = Server::Reply;
                    output.line(&[line]);
                } else {
                    capability(line, output);
                }
                continue;
            }
            if reply(line, &mut self.waiting, &mut self.client, &mut self.server, output) == Next::Release {
                output.bytes.extend_from_slice(chunk);
                return Ok(Next::Release);
            }
        }
    }
}

/// Passes a line that is no part of a text, and does what it says about the command that waits.
fn reply(
    line: &[u8],
    waiting: &mut Waiting<Kind>,
    client: &mut Client,
    server: &mut Server,
    output: &mut Output,
) -> Next {
    let status = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    let kind = waiting.first().unwrap_or(Kind::Line);
    // Programs compare them with and without regard to case.
    let is_ok = status.eq_ignore_ascii_case(b"+OK");
    if status == b"+" {
        // The last command is the one that waits: its line is for the mechanism.
        if kind == Kind::Authentication {
            *client = Client::Authentication;
            output.line(&[line]);
        } else {
            output.removed(Subject::Malformed);
        }
        return Next::Filter;
    }
    if !is_ok && !status.eq_ignore_ascii_case(b"-ERR") {
        output.removed(Subject::Malformed);
        return Next::Filter;
    }
    output.line(&[line]);
    waiting.answer();
    match kind {
        Kind::StartTls if is_ok => return Next::Release,
        Kind::Authentication | Kind::StartTls => *client = Client::Commands,
        Kind::Text if is_ok => *server = Server::Text(DotText::default()),
        Kind::Capabilities if is_ok => *server = Server::Capabilities,
        Kind::Text | Kind::Capabilities | Kind::Line => {}
    }
    Next::Filter
}

/// Writes what a command becomes. Returns what kind of answer it gets.
fn command(line: &[u8], output: &mut Output) -> Kind {
    let Some((action, verb, words)) = command::known(line, COMMANDS, output) else { return Kind::Line };
    let count = words.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).count();
    let kind = match action {
        Command::Pass => Kind::Line,
        Command::Text { most_words } if count <= most_words => Kind::Text,
        Command::Text { .. } => Kind::Line,
        Command::Capabilities => Kind::Capabilities,
        Command::StartTls => Kind::StartTls,
        Command::Authenticate => {
            let Some(words) = sasl::begin(words, output) else {
                output.line(&[command::REFUSED]);
                return Kind::Line;
            };
            output.line(&[&verb, b" ", &words]);
            return Kind::Authentication;
        }
    };
    // A password may begin or end with blanks.
    let words = if matches!(kind, Kind::Capabilities | Kind::StartTls) { &b""[..] } else { words };
    output.line(&[&verb, words]);
    kind
}

/// Writes what a line with a capability becomes.
fn capability(line: &[u8], output: &mut Output) {
    let line = line.trim_ascii_start();
    let (name, words) = line.split_at(line.iter().position(|&byte| byte == b' ').unwrap_or(line.len()));
    match find(CAPABILITIES, name) {
        None => output.removed(Subject::Capability),
        Some(Capability::Pass) => output.line(&[line]),
        Some(Capability::Mechanisms) => {
            let known = sasl::known_of(words, output);
            output.line(&[name, &known]);
        }
    }
}
