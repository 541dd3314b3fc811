//! SMTP (RFC 5321) as clients submit messages with it (RFC 6409).
//!
//! A command that does not pass becomes another one that the server refuses, so each command gets its answer, also when the client
//! sends several at once (RFC 2920). Once a server has agreed to STARTTLS, both directions are let go.

mod field;
mod replies;
mod rules;

use alloc::vec::Vec;

use self::{
    field::Header,
    replies::{Kind, Replies},
    rules::{CAPABILITIES, COMMANDS, Command, PARAMETERS},
};
use crate::{
    Cut, ListedRule, Next, Output, Subject, command,
    line::Lines,
    mail::{dot_text::DotText, fields::FIELDS},
    rule::{Place, Side, find, listed},
    sasl,
};

/// The longest lines are those of AUTH (RFC 4954 section 4).
const MAX_CLIENT_LINE_BYTES: usize = 12_288;

pub(crate) fn rules() -> Vec<ListedRule> {
    let commands = listed(COMMANDS, Side::Client, Place::Command);
    let parameters = listed(PARAMETERS, Side::Client, Place::Parameter);
    let fields = listed(FIELDS, Side::Client, Place::Field);
    let capabilities = listed(CAPABILITIES, Side::Server, Place::Capability);
    commands.chain(parameters).chain(fields).chain(capabilities).collect()
}

/// The filter of a connection.
#[derive(Debug)]
pub(crate) struct Smtp {
    lines: Lines,
    client: Client,
    replies: Replies,
}

/// What the client says next.
#[derive(Debug)]
enum Client {
    Commands,
    /// It has to wait for the answer.
    Waits,
    /// One line of data for the mechanism.
    Authentication,
    Header(Header),
    Body(DotText),
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            lines: Lines::new(MAX_CLIENT_LINE_BYTES),
            client: Client::Commands,
            replies: Replies::default(),
        }
    }
}

impl Smtp {
    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        loop {
            if let Client::Body(body) = &mut self.client {
                if !body.take(&mut chunk, output) {
                    return Ok(Next::Filter);
                }
                self.client = Client::Commands;
                self.replies.expect(Kind::Other)?;
            }
            if matches!(self.client, Client::Waits) && !chunk.is_empty() {
                return Err(Cut::EarlyData);
            }
            let Some(line) = self.lines.next(&mut chunk)? else { return Ok(Next::Filter) };
            match &mut self.client {
                Client::Commands => {
                    let kind = command(line, output)?;
                    self.replies.expect(kind)?;
                    if matches!(kind, Kind::Data | Kind::StartTls | Kind::Authentication) {
                        self.client = Client::Waits;
                    }
                }
                Client::Authentication => {
                    let data = sasl::data(line, output);
                    output.line(&[data]);
                    self.replies.expect(Kind::Authentication)?;
                    self.client = Client::Waits;
                }
                Client::Header(header) => match line {
                    b"" => {
                        header.end(output);
                        output.line(&[]);
                        self.client = Client::Body(DotText::default());
                    }
                    b"." => {
                        header.end(output);
                        output.line(&[b"."]);
                        self.client = Client::Commands;
                        self.replies.expect(Kind::Other)?;
                    }
                    _ => header.line(line, output),
                },
                Client::Waits | Client::Body(_) => {}
            }
        }
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some((kind, code)) = self.replies.next(&mut chunk, output)? {
            let is_waiting = matches!(self.client, Client::Waits);
            match (kind, &code) {
                (Kind::StartTls, b"220") => {
                    output.bytes.extend_from_slice(chunk);
                    return Ok(Next::Release);
                }
                (Kind::Data, b"354") => self.client = Client::Header(Header::default()),
                (Kind::Authentication, b"334") => self.client = Client::Authentication,
                (Kind::StartTls | Kind::Data | Kind::Authentication, _) if is_waiting => {
                    self.client = Client::Commands;
                }
                _ => {}
            }
        }
        Ok(Next::Filter)
    }
}

/// Writes what a command becomes. Returns what kind of answer it gets.
fn command(line: &[u8], output: &mut Output) -> Result<Kind, Cut> {
    let Some((action, verb, words)) = command::known(line, COMMANDS, output) else { return Ok(Kind::Other) };
    let words = words.trim_ascii();
    match action {
        Command::Pass => output.line(&[&verb, if words.is_empty() { b"" } else { b" " }, words]),
        Command::Bare | Command::Data | Command::StartTls => {
            if !words.is_empty() {
                let is_address = verb.starts_with(b"X");
                output.removed(if is_address { Subject::Address } else { Subject::Words });
            }
            output.line(&[&verb]);
        }
        Command::Hello => {
            output.replaced(Subject::HostName);
            output.line(&[&verb, b" localhost"]);
        }
        Command::Envelope => envelope(&verb, words, output),
        Command::Authenticate => return Ok(authenticate(&verb, words, output)),
        Command::Chunk => return Err(Cut::Chunking),
    }
    Ok(match action {
        Command::Data => Kind::Data,
        Command::StartTls => Kind::StartTls,
        Command::Hello => Kind::Hello,
        _ => Kind::Other,
    })
}

/// `FROM:` or `TO:`, an address, and the parameters that are known. Without an address, the server refuses it.
fn envelope(verb: &[u8], words: &[u8], output: &mut Output) {
    let colon = words.iter().position(|&byte| byte == b':').unwrap_or(words.len());
    let (direction, rest) = words.split_at(colon);
    let mut rest =
        rest.get(1..).unwrap_or_default().split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let address = rest.next().filter(|address| address.iter().all(|byte| !byte.is_ascii_control()));
    let expected: &[u8] = if verb == b"MAIL" { b"FROM" } else { b"TO" };
    let Some(address) = address.filter(|_| direction.trim_ascii().eq_ignore_ascii_case(expected)) else {
        output.removed(Subject::Malformed);
        return output.line(&[verb]);
    };
    output.bytes.extend_from_slice(&[verb, b" ", expected, b":", address].concat());
    for parameter in rest {
        let name = parameter.split(|&byte| byte == b'=').next().unwrap_or_default();
        if find(PARAMETERS, name).is_some() {
            output.bytes.push(b' ');
            output.bytes.extend_from_slice(parameter);
        } else {
            output.removed(Subject::UnknownParameter);
        }
    }
    output.line(&[]);
}

/// A mechanism, and its first data. Without a mechanism, the server refuses it.
fn authenticate(verb: &[u8], words: &[u8], output: &mut Output) -> Kind {
    match sasl::begin(words, output) {
        None => {
            output.line(&[verb]);
            Kind::Other
        }
        Some(words) => {
            output.line(&[verb, b" ", &words]);
            Kind::Authentication
        }
    }
}
