//! IMAP (RFC 3501, RFC 9051), with LITERAL+ (RFC 7888), IDLE (RFC 2177) and ID (RFC 2971).
//!
//! A command that does not pass becomes one that the server refuses, so each command has its answer. What the server says passes, but
//! for capabilities: the filter follows it to know when a literal, data of a mechanism or TLS begins.

mod append;
mod client;
mod literal;
mod masked;
mod rules;
mod server;

use alloc::vec::Vec;

use self::{
    client::Client,
    rules::{CAPABILITIES, COMMANDS, UID_COMMANDS},
    server::{Answer, Server},
};
use crate::{
    Cut, ListedRule, Next, Output,
    rule::{Place, Side, listed},
};

pub(crate) fn rules() -> Vec<ListedRule> {
    let commands = listed(COMMANDS, Side::Client, Place::Command);
    let uid_commands = listed(UID_COMMANDS, Side::Client, Place::Parameter);
    commands.chain(uid_commands).chain(listed(CAPABILITIES, Side::Server, Place::Capability)).collect()
}

/// The filter of a connection.
#[derive(Debug, Default)]
pub(crate) struct Imap {
    client: Client,
    server: Server,
}

impl Imap {
    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        self.client.take(&mut chunk, output)?;
        Ok(Next::Filter)
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(answer) = self.server.next(&mut chunk, output)? {
            match answer {
                Answer::GoOn => self.client.go_on(),
                Answer::Tagged { tag, is_ok } => {
                    if self.client.is_answered(&tag, is_ok) {
                        output.bytes.extend_from_slice(chunk);
                        return Ok(Next::Release);
                    }
                }
            }
        }
        Ok(Next::Filter)
    }
}
