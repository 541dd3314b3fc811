//! What a healthy bridge answers to a line: HELLO, and which module answers what comes after it.

use std::io;

use crate::{
    Dialect,
    command::Command,
    connection::{Connection, Next},
    datagram,
    dialect::{Negotiated, Version},
    naming,
    recorder::lock,
    session, stream,
};

/// Does what a healthy bridge of the dialect does after this line.
pub(crate) async fn behave(connection: &mut Connection, line: &str) -> io::Result<Next> {
    if connection.shared.dialect == Dialect::Java && connection.version.is_some() {
        // Before the line is taken apart: the text is any text, quotes without an end included.
        if let Some(text) = after_word(line, "PING") {
            return connection.answer(&format!("PONG{text}")).await;
        }
        if let Some(text) = after_word(line, "PONG") {
            connection.pong(text.trim_start());
            return Ok(Next::Listen);
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
        return hello(connection, &command).await;
    }
    match (command.verb.as_str(), command.action.as_str()) {
        ("SESSION", action) if !action.is_empty() => session::behave(connection, &command).await,
        ("STREAM", action) if !action.is_empty() => stream::behave(connection, &command).await,
        ("NAMING" | "DEST", action) if !action.is_empty() => naming::behave(connection, &command).await,
        ("DATAGRAM" | "RAW", "SEND") => datagram::send(connection, &command).await,
        _ => other(connection, &command, line).await,
    }
}

/// What follows the first word of a line, if it is this one, in any case; blanks and all.
fn after_word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let line = line.trim_start().trim_end_matches('\r');
    let (first, rest) = line.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && (rest.is_empty() || rest.starts_with(' '))).then_some(rest)
}

/// The version after a HELLO that the script has answered: the one that a healthy bridge would have named, or the
/// highest.
pub(crate) fn agreed(connection: &Connection, line: &str) -> Version {
    let dialect = connection.shared.dialect;
    match Command::parse(line, dialect).map(|hello| dialect.negotiate(&hello)) {
        Ok(Negotiated::Version(version)) => version,
        Ok(Negotiated::NoVersion) | Err(_) => (3, 3),
    }
}

async fn hello(connection: &mut Connection, hello: &Command) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    if (hello.verb.as_str(), hello.action.as_str()) != ("HELLO", "VERSION") {
        return match dialect {
            Dialect::Java => {
                let text = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Must start with HELLO VERSION\"";
                connection.refuse(text).await
            }
            _ => Ok(Next::Close),
        };
    }
    let Negotiated::Version(version) = dialect.negotiate(hello) else {
        return connection.refuse("HELLO REPLY RESULT=NOVERSION").await;
    };
    if let Err(message) = check_login(connection, hello) {
        return connection.refuse(&format!("HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"{message}\"")).await;
    }
    connection.version = Some(version);
    let (major, minor) = version;
    connection.answer(&format!("HELLO REPLY RESULT=OK VERSION={major}.{minor}")).await
}

/// Only Java I2P has users and passwords (J19).
fn check_login(connection: &Connection, hello: &Command) -> Result<(), &'static str> {
    let login = lock(&connection.shared.login);
    let (Dialect::Java, Some((user, password))) = (connection.shared.dialect, &*login) else { return Ok(()) };
    match (hello.get("USER"), hello.get("PASSWORD")) {
        (Some(given), Some(secret)) if given == user && secret == password => Ok(()),
        (Some(_), Some(_)) => Err("Authorization failed"),
        _ => Err("USER and PASSWORD required"),
    }
}

/// One-word lines and commands that the dialect does not know.
async fn other(connection: &mut Connection, command: &Command, line: &str) -> io::Result<Next> {
    match connection.shared.dialect {
        Dialect::Java => java(connection, command).await,
        // D6, and as recorded: 2.45.1 closes at any PING.
        Dialect::I2pd => Ok(Next::Close),
        // D7: answered, and then closed.
        Dialect::I2pdMaster => match line.strip_prefix("PING ") {
            Some(text) => connection.refuse(&format!("PONG {text}")).await,
            None => Ok(Next::Close),
        },
        // E21; all else is ignored (E5).
        Dialect::Emissary => match command.verb.as_str() {
            "QUIT" | "EXIT" | "STOP" => Ok(Next::Close),
            _ => Ok(Next::Listen),
        },
    }
}

async fn java(connection: &mut Connection, command: &Command) -> io::Result<Next> {
    let verb = command.verb.as_str();
    match verb {
        "" => Ok(Next::Listen),
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
