//! What a healthy bridge answers to a line.

pub(crate) mod datagram;
pub(crate) mod dial;
pub(crate) mod hello;
mod naming;
mod session;
mod stream;

use std::io;

use crate::{
    command::Command,
    connection::{Connection, NextStep},
    dialect::Dialect,
};

/// Does after this line what a healthy bridge of the dialect does.
pub(crate) async fn behave(connection: &mut Connection, line: &str) -> io::Result<NextStep> {
    if connection.shared.dialect == Dialect::Java && connection.version.is_some() {
        // Before the line is parsed, since the text may hold anything, such as an unterminated quote.
        if let Some(text) = after_word(line, "PING") {
            return connection.answer(&format!("PONG{text}")).await;
        }
        if let Some(text) = after_word(line, "PONG") {
            connection.pong(text.trim_start());
            return Ok(NextStep::Listen);
        }
    }
    let command = match Command::parse(line, connection.shared.dialect) {
        Ok(command) => command,
        Err(message) => {
            return connection
                .answer(&format!("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"{message}\""))
                .await;
        }
    };
    if connection.version.is_none() {
        return hello::behave(connection, &command).await;
    }
    match (command.verb.as_str(), command.action.as_str()) {
        ("SESSION", action) if !action.is_empty() => session::behave(connection, &command).await,
        ("STREAM", action) if !action.is_empty() => stream::behave(connection, &command).await,
        ("NAMING" | "DEST", action) if !action.is_empty() => naming::behave(connection, &command).await,
        ("DATAGRAM" | "RAW", "SEND") => datagram::send(connection, &command).await,
        _ => other(connection, &command, line).await,
    }
}

/// The text after the first word of a line, with its blanks, if that word is this one in upper or lower case.
fn after_word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let line = line.trim_start().trim_end_matches('\r');
    let (first, rest) = line.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && (rest.is_empty() || rest.starts_with(' '))).then_some(rest)
}

/// One-word lines and commands that the dialect does not know.
async fn other(connection: &mut Connection, command: &Command, line: &str) -> io::Result<NextStep> {
    match connection.shared.dialect {
        Dialect::Java => java(connection, command).await,
        // i2pd closes the connection at every PING, with the session on it.
        Dialect::I2pd245 | Dialect::I2pd256 => Ok(NextStep::Close),
        // Since 2.58 it answers one with a text before.
        Dialect::I2pd259 => match line.strip_prefix("PING ") {
            Some(text) => connection.refuse(&format!("PONG {text}")).await,
            None => Ok(NextStep::Close),
        },
        // emissary closes without a reply, and ignores every other command.
        Dialect::Emissary => match command.verb.as_str() {
            "QUIT" | "EXIT" | "STOP" => Ok(NextStep::Close),
            _ => Ok(NextStep::Listen),
        },
    }
}

async fn java(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    let verb = command.verb.as_str();
    match verb {
        "" => Ok(NextStep::Listen),
        "HELP" => {
            connection.answer("HELP STATUS RESULT=OK MESSAGE=https://geti2p.net/en/docs/api/samv3").await
        }
        "QUIT" | "STOP" | "EXIT" => connection.refuse(&format!("{verb} STATUS RESULT=OK MESSAGE=bye")).await,
        _ => {
            let what = if command.action.is_empty() { "missing subcommand" } else { "unsupported command" };
            let text = format!("{verb} STATUS RESULT=I2P_ERROR MESSAGE=\"{what}, enter HELP for help\"");
            connection.answer(&text).await
        }
    }
}
