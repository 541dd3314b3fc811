//! The text of `hosts.txt` and of subscription feeds, without a file or a network.
//!
//! One line is an [`Entry`], a [`Command`], or nothing (empty, a comment). [`parse_line`] understands one, and
//! [`Lines`] takes them from any [`BufRead`](std::io::BufRead), whatever is in it. A [`Command`] is words until
//! [`Command::verify`] has seen its signatures.
//!
//! ```
//! use i2p_address_book::feed::{self, Line};
//!
//! assert_eq!(feed::parse_line(b"# a comment"), Ok(None));
//! let line = format!("example.i2p={}AAAA", "A".repeat(512));
//! let Ok(Some(Line::Entry(entry))) = feed::parse_line(line.as_bytes()) else { panic!("not an entry") };
//! assert_eq!(entry.host.as_str(), "example.i2p");
//! assert_eq!(entry.to_string(), line);
//! ```

mod command;
mod lines;
mod rules;

use std::fmt;

use i2p_name::{Destination, HostName};

pub use command::{Action, Command, VerifiedCommand};
pub use lines::{LineFailure, Lines, MAX_LINE};

pub use crate::signature::SignatureError;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a line lives for as long as it is looked at, and there is one")]
pub enum Line {
    /// A name and its destination, on nobody's word but the feed's.
    Entry(Entry),
    /// A signed command.
    Command(Command),
}

/// Prints the line as a feed has it, without its end.
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
    /// What it stands for.
    pub destination: Destination,
}

/// Prints `name=destination`, the line of a `hosts.txt` without its end.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.host.as_str(), self.destination.to_base64())
    }
}

/// Why a line says nothing. The texts repeat nothing of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than [`MAX_LINE`].
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not UTF-8, or with a control character in it.
    #[error("the line is not plain text")]
    NotText,
    /// No `name=destination`.
    #[error("the line has no =")]
    NoDestination,
    /// The name breaks the rules of [naming](https://geti2p.net/en/docs/naming).
    #[error("the name: {0}")]
    Host(&'static str),
    /// The name is none.
    #[error("the name: {0}")]
    Name(i2p_name::NameError),
    /// The destination is none.
    #[error("the destination: {0}")]
    Destination(i2p_name::NameError),
    /// The destination is shorter or longer than import allows.
    #[error("the destination has {0} characters, 516 to 616 are allowed")]
    DestinationLength(usize),
    /// A property that is not `key=value`, or has no key or no value.
    #[error("a property after #! is not of the form key=value")]
    Property,
    /// A key that is there twice.
    #[error("a property after #! is there twice")]
    DuplicateKey,
    /// A command without a key that it needs.
    #[error("the command lacks the property {0}")]
    Lacks(&'static str),
    /// `date` or `expires` is no number of seconds.
    #[error("the property {0} is no number of seconds")]
    Time(&'static str),
    /// An action that the specification does not have, or not in this kind of line.
    #[error("the action is unknown, or in the wrong kind of line")]
    Action,
    /// A signature that is not base64.
    #[error("the signature {0} is not base64 in I2P's alphabet")]
    Signature(&'static str),
    /// `addsubdomain` with a name that is not below `oldname`.
    #[error("the name is no subdomain of oldname")]
    NotASubdomain,
}

/// Understands one line, without its end. `None` for an empty line and a comment.
///
/// A line that starts with `#!` is a command, any other that starts with `#` or `;` a comment. After a destination
/// `#!` starts the properties of a command, and any other `#` a comment. Names are taken in any case, and held in
/// lower case.
///
/// # Errors
/// [`LineError`].
pub fn parse_line(line: &[u8]) -> Result<Option<Line>, LineError> {
    if line.len() > MAX_LINE {
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
