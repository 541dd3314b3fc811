//! The control connection of FTP (RFC 959, RFC 2228, RFC 2389, RFC 2428, RFC 4217).
//!
//! A command that does not pass becomes one that the server refuses, so each command has its answer. Files have connections of their
//! own, which the client opens; no filter looks into them.

mod replies;
mod rules;

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use self::{
    replies::Replies,
    rules::{COMMANDS, Command, FEATURES, SITE_COMMANDS},
};
use crate::{
    Cut, ListedRule, Next, Output, Subject, command,
    line::Lines,
    rule::{Place, Side, find, listed},
    waiting::Waiting,
};

/// RFC 959 has no limit. Names of files have up to 4096 bytes.
const MAX_LINE_BYTES: usize = 8192;

pub(crate) fn rules() -> Vec<ListedRule> {
    let commands = listed(COMMANDS, Side::Client, Place::Command);
    let site_commands = listed(SITE_COMMANDS, Side::Client, Place::Parameter);
    commands.chain(site_commands).chain(listed(FEATURES, Side::Server, Place::Capability)).collect()
}

/// The filter of a connection.
#[derive(Debug)]
pub(crate) struct Ftp {
    client: Lines,
    server: Lines,
    is_guest: bool,
    /// The client has to wait for the answer to AUTH.
    waits: bool,
    /// The commands without an answer: whether each is AUTH.
    waiting: Waiting<bool>,
    replies: Replies,
}

impl Default for Ftp {
    fn default() -> Self {
        Self {
            client: Lines::new(MAX_LINE_BYTES),
            server: Lines::new(MAX_LINE_BYTES),
            is_guest: false,
            waits: false,
            waiting: Waiting::for_greeting(false),
            replies: Replies::default(),
        }
    }
}

impl Ftp {
    pub(crate) fn set_passive_address(&mut self, address: Ipv4Addr) {
        self.replies.set_passive_address(address);
    }

    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        loop {
            if self.waits && !chunk.is_empty() {
                return Err(Cut::EarlyData);
            }
            let Some(line) = self.client.next(&mut chunk)? else { return Ok(Next::Filter) };
            self.waits = command(line, &mut self.is_guest, output);
            self.waiting.expect(self.waits)?;
        }
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(line) = self.server.next(&mut chunk)? {
            let Some(code) = self.replies.line(line, output) else { continue };
            // The first digit 1 means that another reply follows.
            if code.first() == Some(&b'1') {
                continue;
            }
            let is_auth = self.waiting.answer().unwrap_or(false);
            self.waits = self.waits && !is_auth;
            if is_auth && &code == b"234" {
                output.bytes.extend_from_slice(chunk);
                return Ok(Next::Release);
            }
        }
        Ok(Next::Filter)
    }
}

/// Writes what a command becomes. Returns whether the client has to wait for the answer.
fn command(line: &[u8], is_guest: &mut bool, output: &mut Output) -> bool {
    let line = without_telnet(line);
    let Some((action, verb, words)) = command::known(line, COMMANDS, output) else { return false };
    let argument = words.strip_prefix(b" ").unwrap_or(words);
    match action {
        Command::Pass => output.line(&[&verb, words]),
        Command::User => {
            *is_guest = [&b"anonymous"[..], b"ftp"]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(argument.trim_ascii()));
            output.line(&[&verb, words]);
        }
        Command::Password if *is_guest => {
            output.replaced(Subject::UserName);
            output.line(&[&verb, b" anonymous@"]);
        }
        Command::Password => output.line(&[&verb, words]),
        Command::Bare => {
            if !argument.is_empty() {
                output.removed(Subject::Words);
            }
            output.line(&[&verb]);
        }
        Command::Refuse => {
            let is_address = verb.ends_with(b"RT");
            output.removed(if is_address { Subject::DirectConnection } else { Subject::Program });
            output.line(&[&verb]);
        }
        Command::Time if has_time_zone(&verb, argument) => {
            output.removed(Subject::TimeZone);
            output.line(&[&verb]);
        }
        Command::Time => output.line(&[&verb, words]),
        Command::Site => {
            let name = argument.split(|&byte| byte == b' ').next().unwrap_or_default();
            if find(SITE_COMMANDS, name).is_some() {
                output.line(&[&verb, words]);
            } else {
                output.removed(Subject::UnknownCommand);
                output.line(&[&verb]);
            }
        }
        Command::Authenticate => {
            let argument = argument.trim_ascii();
            let is_tls = [&b"TLS"[..], b"SSL", b"TLS-C", b"TLS-P"]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(argument));
            if is_tls {
                output.line(&[&verb, b" ", argument]);
                return true;
            }
            output.removed(Subject::LoginMechanism);
            output.line(&[&verb]);
        }
    }
    false
}

/// Commands of Telnet before one of FTP, such as those with which a client interrupts the server.
fn without_telnet(mut line: &[u8]) -> &[u8] {
    const INTERPRET_AS_COMMAND: u8 = 0xff;
    while let [INTERPRET_AS_COMMAND, _, rest @ ..] | [0xf2, rest @ ..] = line {
        line = rest;
    }
    line
}

/// Whether the time of a file may have a time zone. A time has 14 digits, perhaps a fraction, and a space after it. MFMT always has one;
/// with MDTM, some programs set it, too, and others ask for the time of a file whose name may begin with digits.
fn has_time_zone(verb: &[u8], argument: &[u8]) -> bool {
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let digits = argument.iter().take_while(is_digit).count();
    let rest = argument.get(digits..).unwrap_or_default();
    let fraction = rest.strip_prefix(b".").map_or(0, |rest| 1 + rest.iter().take_while(is_digit).count());
    let rest = rest.get(fraction..).unwrap_or_default();
    if verb == b"MFMT" {
        return digits != 14 || !rest.starts_with(b" ");
    }
    let [b'+' | b'-', zone @ ..] = rest else { return false };
    let name = zone.get(zone.iter().take_while(is_digit).count()..).unwrap_or_default();
    digits == 14 && matches!(name, [b' ' | b';', ..])
}
