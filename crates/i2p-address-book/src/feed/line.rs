use std::fmt;

use i2p_name::{Destination, HostName};

use super::{
    command::Command,
    error::{LineError, MAX_LINE_BYTES},
    rules,
};

/// The content of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one line exists at a time, for as long as it is processed")]
pub enum Line {
    /// A name and its destination, without a signature.
    Entry(Entry),
    /// A signed command.
    Command(Command),
}

/// Prints the line as it stands in a feed, without its line end.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(entry) => entry.fmt(f),
            Self::Command(command) => command.fmt(f),
        }
    }
}

/// A name and its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub host: HostName,
    /// The destination of the name.
    pub destination: Destination,
}

/// Prints `name=destination`, a line of a `hosts.txt` without its line end.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.host.as_str(), self.destination.to_base64())
    }
}

/// Parses one line, without its line end. Returns `None` for an empty line and a comment.
///
/// A line that starts with `#!` is a command; any other line that starts with `#` or `;` is a comment. After a destination, `#!`
/// starts the properties of a command, and any other `#` starts a comment. Upper case in names becomes lower case.
///
/// # Errors
/// [`LineError`].
pub fn parse_line(line: &[u8]) -> Result<Option<Line>, LineError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    let line = line.trim_ascii();
    let comment = line.first().is_none_or(|first| b"#;".contains(first)) && !line.starts_with(b"#!");
    if comment {
        return Ok(None);
    }
    let text = core::str::from_utf8(line).map_err(|_| LineError::NotText)?;
    if text.chars().any(char::is_control) {
        return Err(LineError::NotText);
    }
    if let Some(properties) = text.strip_prefix("#!") {
        return Command::removal(properties).map(|command| Some(Line::Command(command)));
    }
    let (entry, rest) = text.split_once('#').unwrap_or((text, ""));
    let (host, destination) = entry.split_once('=').ok_or(LineError::NoDestination)?;
    let host = rules::host(host.trim_ascii())?;
    let destination_text = destination.trim_ascii();
    let destination = rules::destination(destination_text)?;
    Ok(Some(match rest.strip_prefix('!') {
        Some(properties) => Line::Command(Command::change(host, destination, destination_text, properties)?),
        None => Line::Entry(Entry { host, destination }),
    }))
}
