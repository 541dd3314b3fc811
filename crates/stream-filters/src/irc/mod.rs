//! IRC (RFC 1459, RFC 2812, IRCv3). Both directions are filtered for as long as the connection lives.
//!
//! A line is taken apart, judged by the tables in `rules.rs`, and put together again, with single blanks and CR LF. Lines with tags may
//! be as long as IRCv3 allows; lines without may be, too, because a server can allow more than 512 bytes.

mod message;
mod ping;
mod rules;
mod text;

use alloc::vec::Vec;

use self::{
    message::Message,
    ping::{Pings, ServerPings},
    rules::{CAPABILITIES, CLIENT, FromClient, FromServer, SERVER, TAGS},
};
use crate::{
    Cut, ListedRule, Next, Output, Subject,
    line::Lines,
    rule::{Place, Side, find, listed},
    sasl,
};

/// 4,096 bytes of tags and 512 of the message, with CR LF.
const MAX_CLIENT_LINE_BYTES: usize = 4096 + 510;
/// 8,191 bytes of tags and 512 of the message, with CR LF.
const MAX_SERVER_LINE_BYTES: usize = 8191 + 510;

pub(crate) fn rules() -> Vec<ListedRule> {
    let client = listed(CLIENT, Side::Client, Place::Command);
    let tags = listed(TAGS, Side::Client, Place::Tag);
    let server = listed(SERVER, Side::Server, Place::Command);
    let capabilities = listed(CAPABILITIES, Side::Server, Place::Capability);
    client.chain(tags).chain(server).chain(capabilities).collect()
}

/// The longest piece of data in AUTHENTICATE (IRCv3, "SASL").
const MAX_DATA_BYTES: usize = 400;

/// The filter of a connection.
#[derive(Debug)]
pub(crate) struct Irc {
    client: Lines,
    server: Lines,
    session: Session,
}

/// What one line says about another.
#[derive(Debug, Default)]
struct Session {
    pings: Pings,
    server_pings: ServerPings,
    /// The server wants data of a mechanism, so AUTHENTICATE has data.
    data_is_wanted: bool,
}

impl Default for Irc {
    fn default() -> Self {
        Self {
            client: Lines::new(MAX_CLIENT_LINE_BYTES),
            server: Lines::new(MAX_SERVER_LINE_BYTES),
            session: Session::default(),
        }
    }
}

impl Irc {
    pub(crate) fn client(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(line) = self.client.next(&mut chunk)? {
            if let Err(subject) = self.session.client_line(line, output) {
                output.removed(subject);
            }
        }
        Ok(Next::Filter)
    }

    pub(crate) fn server(&mut self, mut chunk: &[u8], output: &mut Output) -> Result<Next, Cut> {
        while let Some(line) = self.server.next(&mut chunk)? {
            if let Err(subject) = self.session.server_line(line, output) {
                output.removed(subject);
            }
        }
        Ok(Next::Filter)
    }
}

impl Session {
    fn client_line(&mut self, line: &[u8], output: &mut Output) -> Result<(), Subject> {
        if line.is_empty() {
            return Ok(());
        }
        // A client has no need to say who it is.
        let message =
            Message::parse(line).filter(|message| message.source.is_none()).ok_or(Subject::Malformed)?;
        let action = find(CLIENT, message.command).ok_or(Subject::UnknownCommand)?;
        if !matches!(action, FromClient::Text { .. }) && text::has_reserved_byte(line) {
            return Err(Subject::Malformed);
        }
        let (parameters, tags) = (message.parameters, known_tags(&message, output));
        let command = [tags.as_slice(), &message.command.to_ascii_uppercase()].concat();
        match action {
            FromClient::Pass => put(output, &command, parameters.words()),
            FromClient::User => {
                output.replaced(Subject::UserName);
                let mode = if asks_to_be_invisible(parameters.get(1)) { &b"8"[..] } else { b"0" };
                put(output, &command, [&b"user"[..], mode, b"*", b":user"]);
            }
            FromClient::Ping => {
                let text = parameters.get(0).filter(|text| text.len() <= ping::MAX_TEXT_BYTES);
                let number = self.pings.keep(text.ok_or(Subject::Malformed)?);
                output.replaced(Subject::PingText);
                put(output, &command, [number.as_slice()]);
            }
            FromClient::Pong => {
                let texts = parameters.words().map(|word| word.strip_prefix(b":").unwrap_or(word));
                let text = self.server_pings.answer(texts).ok_or(Subject::PingText)?;
                if parameters.get(1).is_some() {
                    output.removed(Subject::Words);
                }
                output.line(&[&command, b" :", text]);
            }
            FromClient::Quit => {
                output.replaced(Subject::FarewellText);
                put(output, &command, [&b":leaving"[..]]);
            }
            FromClient::Part => {
                let channels =
                    parameters.get(0).filter(|channels| !channels.is_empty()).ok_or(Subject::Malformed)?;
                let channels = channels.split(|&byte| byte == b' ').next().unwrap_or_default();
                output.replaced(Subject::FarewellText);
                put(output, &command, [channels, b":leaving"]);
            }
            FromClient::Text { is_notice } => {
                text_line(&message, is_notice)?;
                put(output, &command, parameters.words());
            }
            FromClient::Authenticate => self.authenticate(&message, &command, output)?,
            FromClient::TagMessage => {
                let [_] = parameters.exactly().ok_or(Subject::Malformed)?;
                // Without its tags, it says nothing.
                if !tags.is_empty() {
                    put(output, &command, parameters.words());
                }
            }
        }
        Ok(())
    }

    fn server_line(&mut self, line: &[u8], output: &mut Output) -> Result<(), Subject> {
        if line.is_empty() {
            return Ok(());
        }
        let message = Message::parse(line).ok_or(Subject::Malformed)?;
        let is_number = message.command.first().is_some_and(u8::is_ascii_digit);
        let action = find(SERVER, message.command).or(is_number.then_some(FromServer::Pass));
        let action = action.ok_or(Subject::UnknownCommand)?;
        if !matches!(action, FromServer::Text { .. }) && text::has_reserved_byte(line) {
            return Err(Subject::Malformed);
        }
        if message.command.eq_ignore_ascii_case(b"AUTHENTICATE") {
            self.data_is_wanted = true;
        } else if ends_authentication(&message) {
            self.data_is_wanted = false;
        }
        match action {
            FromServer::Pass => output.line(&[line]),
            FromServer::Text { is_notice } => {
                text_line(&message, is_notice)?;
                output.line(&[line]);
            }
            FromServer::Ping => {
                let texts = [message.parameters.get(0), message.parameters.get(1)];
                texts.into_iter().flatten().for_each(|text| self.server_pings.keep(text));
                output.line(&[line]);
            }
            FromServer::Pong => match message.parameters.last().and_then(|number| self.pings.restore(number))
            {
                Some(text) => {
                    let words: Vec<_> = message.parameters.words().collect();
                    let Some((_, names)) = words.split_last() else { return Ok(()) };
                    put_from(output, &message, names, &text);
                }
                None => output.line(&[line]),
            },
            FromServer::Capabilities => capabilities(&message, output),
            FromServer::Redirect => return Err(Subject::Redirect),
        }
        Ok(())
    }

    /// A mechanism, or data, once the server wants it: base64 in pieces of 400 bytes, of which the last one is shorter. An asterisk
    /// stops the mechanism.
    fn authenticate(
        &mut self,
        message: &Message<'_>,
        command: &[u8],
        output: &mut Output,
    ) -> Result<(), Subject> {
        let [data] = message.parameters.exactly().ok_or(Subject::Malformed)?;
        // "Nothing" is written as "+".
        if data.is_empty() || !sasl::is_data(data) {
            return Err(Subject::Malformed);
        }
        let is_stop = data == b"*";
        let passes = is_stop || self.data_is_wanted || sasl::is_known(data);
        self.data_is_wanted &= !is_stop && data.len() == MAX_DATA_BYTES;
        if !passes {
            output.replaced(Subject::LoginMechanism);
        }
        put(output, command, [if passes { data } else { b"*" }]);
        Ok(())
    }
}

/// Checks a line with a text for people.
fn text_line(message: &Message<'_>, is_notice: bool) -> Result<(), Subject> {
    let [target, words] = message.parameters.exactly().ok_or(Subject::Malformed)?;
    let others = [Some(target), message.source, message.tags];
    if others.into_iter().flatten().any(text::has_reserved_byte) {
        return Err(Subject::Malformed);
    }
    text::check(words, is_notice)
}

/// The client asks by a number, in which the bit of 8 means it (RFC 2812 section 3.1.3).
fn asks_to_be_invisible(mode: Option<&[u8]>) -> bool {
    let number =
        mode.and_then(|mode| core::str::from_utf8(mode).ok()).and_then(|mode| mode.parse::<u8>().ok());
    number.is_some_and(|number| number & 8 != 0)
}

/// Whether a mechanism has succeeded or failed (the numbers of IRCv3's SASL), or the server knows none.
fn ends_authentication(message: &Message<'_>) -> bool {
    let is_unknown =
        || message.parameters.get(1).is_some_and(|name| name.eq_ignore_ascii_case(b"AUTHENTICATE"));
    match message.command {
        [b'9', b'0', b'2'..=b'8'] => true,
        b"421" => is_unknown(),
        _ => false,
    }
}

/// Leaves out capabilities of the list, which is the last parameter. The other subcommands have no such words in theirs.
fn capabilities(message: &Message<'_>, output: &mut Output) {
    let words: Vec<_> = message.parameters.words().collect();
    let Some((list, before)) = words.split_last() else { return };
    let list = list.strip_prefix(b":").unwrap_or(list);
    let is_refused = |capability: &&[u8]| {
        let name = capability.split(|&byte| byte == b'=').next().unwrap_or_default();
        find(CAPABILITIES, name).is_some()
    };
    let (refused, kept): (Vec<&[u8]>, Vec<&[u8]>) =
        list.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).partition(is_refused);
    refused.iter().for_each(|_| output.removed(Subject::Capability));
    put_from(output, message, before, &kept.join(&b' '));
}

/// The client's tags that may pass, with `@` and a blank, or nothing.
fn known_tags(message: &Message<'_>, output: &mut Output) -> Vec<u8> {
    let mut tags = Vec::new();
    for tag in message.tags.unwrap_or_default().split(|&byte| byte == b';').filter(|tag| !tag.is_empty()) {
        let name = tag.split(|&byte| byte == b'=').next().unwrap_or_default();
        if find(TAGS, name).is_some() {
            tags.push(if tags.is_empty() { b'@' } else { b';' });
            tags.extend_from_slice(tag);
        } else {
            let is_typing = name.ends_with(b"typing");
            output.removed(if is_typing { Subject::Typing } else { Subject::UnknownTag });
        }
    }
    if !tags.is_empty() {
        tags.push(b' ');
    }
    tags
}

/// Writes a line of the client, with the tags before the command.
fn put<'a>(output: &mut Output, command: &[u8], words: impl IntoIterator<Item = &'a [u8]>) {
    output.bytes.extend_from_slice(command);
    for word in words {
        output.bytes.push(b' ');
        output.bytes.extend_from_slice(word);
    }
    output.line(&[]);
}

/// Writes a line of the server, with another last parameter.
fn put_from(output: &mut Output, message: &Message<'_>, words: &[&[u8]], last: &[u8]) {
    for (mark, part) in [(b'@', message.tags), (b':', message.source)] {
        if let Some(part) = part {
            output.bytes.push(mark);
            output.bytes.extend_from_slice(part);
            output.bytes.push(b' ');
        }
    }
    output.bytes.extend_from_slice(message.command);
    words.iter().for_each(|word| {
        output.bytes.push(b' ');
        output.bytes.extend_from_slice(word);
    });
    output.line(&[b" :", last]);
}
