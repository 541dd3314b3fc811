use std::{borrow::Cow, fmt};

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_till, take_while1},
    combinator::{opt, recognize, rest},
    multi::many0_count,
    sequence::{delimited, preceded},
};

/// A line of a bridge that could not be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a line of the SAM protocol")]
pub struct Malformed;

/// A version of the protocol, such as 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The digit before the dot.
    pub major: u8,
    /// The number after it.
    pub minor: u8,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The value of `RESULT=`. Spellings that routers are known to use for the same thing are one variant; a word
/// that nobody has documented survives as [`ResultWord::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultWord {
    /// It worked.
    Ok,
    /// The peer exists but cannot be reached; i2pd and emissary also say it when its lease set is not found.
    CantReachPeer,
    /// The peer refused (Java I2P, undocumented).
    ConnectionRefused,
    /// The destination is in use by another session.
    DuplicatedDest,
    /// The session ID is in use.
    DuplicatedId,
    /// A generic error.
    I2pError,
    /// No such session.
    InvalidId,
    /// A malformed key, an unknown name (i2pd), or a lease set that was not found (Java I2P).
    InvalidKey,
    /// The name is not known.
    KeyNotFound,
    /// No lease set.
    LeasesetNotFound,
    /// No version in common.
    NoVersion,
    /// The peer is not on the network.
    PeerNotFound,
    /// Nobody answered in time.
    Timeout,
    /// Anything else, cut to 32 characters of letters, digits and underscores.
    Other(String),
}

impl ResultWord {
    fn parse(word: &str) -> Self {
        match word {
            "OK" => Self::Ok,
            "CANT_REACH_PEER" => Self::CantReachPeer,
            "CONNECTION_REFUSED" => Self::ConnectionRefused,
            // emissary's spelling comes second.
            "DUPLICATED_DEST" | "DUPLICATE_DEST" => Self::DuplicatedDest,
            "DUPLICATED_ID" | "DUPLICATE_ID" => Self::DuplicatedId,
            "I2P_ERROR" => Self::I2pError,
            "INVALID_ID" => Self::InvalidId,
            "INVALID_KEY" => Self::InvalidKey,
            "KEY_NOT_FOUND" => Self::KeyNotFound,
            "LEASESET_NOT_FOUND" => Self::LeasesetNotFound,
            "NOVERSION" => Self::NoVersion,
            "PEER_NOT_FOUND" => Self::PeerNotFound,
            "TIMEOUT" => Self::Timeout,
            other => {
                let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                Self::Other(other.chars().filter(plain).take(32).collect())
            }
        }
    }
}

impl fmt::Display for ResultWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::CantReachPeer => "CANT_REACH_PEER",
            Self::ConnectionRefused => "CONNECTION_REFUSED",
            Self::DuplicatedDest => "DUPLICATED_DEST",
            Self::DuplicatedId => "DUPLICATED_ID",
            Self::I2pError => "I2P_ERROR",
            Self::InvalidId => "INVALID_ID",
            Self::InvalidKey => "INVALID_KEY",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::LeasesetNotFound => "LEASESET_NOT_FOUND",
            Self::NoVersion => "NOVERSION",
            Self::PeerNotFound => "PEER_NOT_FOUND",
            Self::Timeout => "TIMEOUT",
            Self::Other(word) => word,
        })
    }
}

/// The outcome part that all replies share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<'a> {
    /// `RESULT`. A `DEST REPLY` has none when it worked: [`ResultWord::Ok`].
    pub result: ResultWord,
    /// `MESSAGE`, where there is one: for people, never for decisions, with the exceptions that
    /// [`Error`](crate::Error) documents. Unescaped.
    pub message: Option<Cow<'a, str>>,
}

/// A line from the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// `HELLO REPLY`.
    Hello {
        /// How it went.
        status: Status<'a>,
        /// `VERSION`.
        version: Option<Version>,
    },
    /// `SESSION STATUS`.
    Session {
        /// How it went.
        status: Status<'a>,
        /// `DESTINATION`: the session's private key.
        private_key: Option<Cow<'a, str>>,
    },
    /// `STREAM STATUS`.
    Stream {
        /// How it went.
        status: Status<'a>,
    },
    /// `NAMING REPLY`.
    Naming {
        /// How it went.
        status: Status<'a>,
        /// `NAME`: what was asked for.
        name: Cow<'a, str>,
        /// `VALUE`: the destination.
        value: Option<Cow<'a, str>>,
    },
    /// `PING`, with its text.
    Ping(&'a str),
    /// A well-formed line that this client has no use for.
    Other,
}

impl<'a> Reply<'a> {
    /// Understands one line, given without its newline. A `\r` at its end is ignored.
    ///
    /// # Errors
    /// [`Malformed`]: not UTF-8, or not of the grammar of SAM v3.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line == "PING" {
            return Ok(Self::Ping(""));
        }
        if let Some(text) = line.strip_prefix("PING ") {
            return Ok(Self::Ping(text));
        }
        let (pairs, (command, subcommand)) = words(line).map_err(|_| Malformed)?;
        let mut fields = Fields::parse(pairs)?;
        let status = fields.status();
        Ok(match (command, subcommand) {
            ("HELLO", "REPLY") => {
                Self::Hello { status, version: fields.version.as_deref().and_then(Version::parse) }
            }
            ("SESSION", "STATUS") => Self::Session { status, private_key: fields.destination.take() },
            ("STREAM", "STATUS") => Self::Stream { status },
            ("NAMING", "REPLY") => Self::Naming {
                status,
                name: fields.name.take().unwrap_or_default(),
                value: fields.value.take(),
            },
            _ => Self::Other,
        })
    }
}

/// The line that an accepting connection gets when a peer has come: its destination, and from 3.2 on the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedFrom<'a> {
    /// The peer's destination in base64.
    pub destination: &'a str,
}

impl<'a> AcceptedFrom<'a> {
    /// Understands the line, given without its newline.
    ///
    /// # Errors
    /// [`Malformed`] when it does not start with a word of I2P's base64.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let destination = line.split([' ', '\r']).next().unwrap_or_default();
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b"-~=".contains(&b);
        if destination.len() < 516 || !destination.bytes().all(base64) {
            return Err(Malformed);
        }
        Ok(Self { destination })
    }
}

/// The pairs this client knows; others are skipped.
#[derive(Default)]
struct Fields<'a> {
    result: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    destination: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    value: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn parse(mut input: &'a str) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        loop {
            input = input.trim_start_matches([' ', '\t']);
            if input.is_empty() {
                return Ok(fields);
            }
            let (remaining, (key, value)) = pair(input).map_err(|_| Malformed)?;
            input = remaining;
            let field = match key {
                "RESULT" => &mut fields.result,
                "MESSAGE" => &mut fields.message,
                "VERSION" => &mut fields.version,
                "DESTINATION" => &mut fields.destination,
                "NAME" => &mut fields.name,
                "VALUE" => &mut fields.value,
                _ => continue,
            };
            // The first one counts: what follows may be an unquoted MESSAGE that happens to hold an `=`.
            field.get_or_insert(value);
        }
    }

    fn status(&mut self) -> Status<'a> {
        let result = self.result.as_deref().map_or(ResultWord::Ok, ResultWord::parse);
        Status { result, message: self.message.take() }
    }
}

fn words(line: &str) -> IResult<&str, (&str, &str)> {
    let mut word = take_while1(|c: char| c.is_ascii_alphanumeric());
    let (line, command) = word.parse(line)?;
    let (line, _) = take_while1(|c| c == ' ')(line)?;
    let (line, subcommand) = word.parse(line)?;
    Ok((line, (command, subcommand)))
}

/// `key=value`, `key="value"`, `key=` or `key`.
fn pair(input: &str) -> IResult<&str, (&str, Cow<'_, str>)> {
    let (input, key) = take_while1(|c| c != '=' && c != ' ')(input)?;
    let (input, value) = opt(preceded(tag("="), alt((quoted, unquoted)))).parse(input)?;
    Ok((input, (key, value.unwrap_or_default())))
}

fn unquoted(input: &str) -> IResult<&str, Cow<'_, str>> {
    let (input, value) = take_till(|c| c == ' ')(input)?;
    Ok((input, Cow::Borrowed(value)))
}

fn quoted(input: &str) -> IResult<&str, Cow<'_, str>> {
    // An escaped character is a backslash and whatever follows it.
    let plain = take_while1(|c| c != '"' && c != '\\');
    let escaped = recognize(preceded(tag("\\"), nom::character::complete::anychar));
    let body = recognize(many0_count(alt((plain, escaped))));
    let (input, raw) = alt((delimited(tag("\""), body, tag("\"")), unterminated)).parse(input)?;
    if !raw.contains('\\') {
        return Ok((input, Cow::Borrowed(raw)));
    }
    let mut value = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(c) = characters.next() {
        value.push(if c == '\\' { characters.next().unwrap_or('\\') } else { c });
    }
    Ok((input, Cow::Owned(value)))
}

/// A quote that is never closed: the rest of the line is the value. Only people read it.
fn unterminated(input: &str) -> IResult<&str, &str> {
    preceded(tag("\""), rest).parse(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(result: ResultWord, message: Option<&str>) -> Status<'_> {
        Status { result, message: message.map(Cow::Borrowed) }
    }

    /// Lines as running routers sent them.
    #[test]
    fn recorded_lines() {
        let version = Some(Version { major: 3, minor: 2 });
        assert_eq!(
            Reply::parse(b"HELLO REPLY RESULT=OK VERSION=3.2"),
            Ok(Reply::Hello { status: status(ResultWord::Ok, None), version })
        );
        assert_eq!(
            Reply::parse(b"HELLO REPLY RESULT=NOVERSION\r"),
            Ok(Reply::Hello { status: status(ResultWord::NoVersion, None), version: None })
        );
        assert_eq!(
            Reply::parse(b"SESSION STATUS RESULT=OK DESTINATION=AB-~="),
            Ok(Reply::Session { status: status(ResultWord::Ok, None), private_key: Some("AB-~=".into()) })
        );
        assert_eq!(
            Reply::parse(b"SESSION STATUS RESULT=DUPLICATE_ID"),
            Ok(Reply::Session { status: status(ResultWord::DuplicatedId, None), private_key: None })
        );
        assert_eq!(
            Reply::parse(b"STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"LeaseSet not found\""),
            Ok(Reply::Stream { status: status(ResultWord::CantReachPeer, Some("LeaseSet not found")) })
        );
        assert_eq!(
            Reply::parse(b"NAMING REPLY RESULT=INVALID_KEY NAME=nosuch.i2p"),
            Ok(Reply::Naming {
                status: status(ResultWord::InvalidKey, None),
                name: "nosuch.i2p".into(),
                value: None
            })
        );
        assert_eq!(Reply::parse(b"PING 1763870000"), Ok(Reply::Ping("1763870000")));
        assert_eq!(Reply::parse(b"PING"), Ok(Reply::Ping("")));
        assert_eq!(Reply::parse(b"QUIT STATUS RESULT=OK MESSAGE=bye"), Ok(Reply::Other));
    }

    #[test]
    fn quotes_escapes_and_odd_spacing() {
        let parsed = Reply::parse(br#"STREAM STATUS  RESULT=I2P_ERROR   MESSAGE="say \"no\" \\ = x" EXTRA"#);
        assert_eq!(
            parsed,
            Ok(Reply::Stream { status: status(ResultWord::I2pError, Some(r#"say "no" \ = x"#)) })
        );
        let parsed = Reply::parse(br#"STREAM STATUS RESULT=I2P_ERROR MESSAGE="never closed"#);
        assert_eq!(parsed, Ok(Reply::Stream { status: status(ResultWord::I2pError, Some("never closed")) }));
    }

    #[test]
    fn unknown_words_survive_in_a_plain_form() {
        let Ok(Reply::Stream { status }) = Reply::parse("STREAM STATUS RESULT=NEW_\u{1b}[31mWORD".as_bytes())
        else {
            panic!("not a stream status")
        };
        assert_eq!(status.result, ResultWord::Other("NEW_31mWORD".into()));
    }

    #[test]
    fn what_is_not_sam_is_malformed() {
        for line in [&b""[..], b"HTTP/1.1 400 Bad Request", b"HELLO", b"\xff\xfe", b"SSH-2.0-OpenSSH"] {
            assert_eq!(Reply::parse(line), Err(Malformed), "{line:?}");
        }
    }

    #[test]
    fn the_peer_of_an_accepted_stream() {
        let destination = "A".repeat(516);
        let with_ports = format!("{destination} FROM_PORT=0 TO_PORT=0");
        assert_eq!(
            AcceptedFrom::parse(with_ports.as_bytes()),
            Ok(AcceptedFrom { destination: &destination })
        );
        assert_eq!(
            AcceptedFrom::parse(destination.as_bytes()),
            Ok(AcceptedFrom { destination: &destination })
        );
        assert_eq!(AcceptedFrom::parse(b"STREAM STATUS RESULT=I2P_ERROR"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_line_is_safe(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&line);
            let _ = AcceptedFrom::parse(&line);
        }

        #[test]
        fn any_text_after_a_known_head_is_safe(tail in "[ -~]{0,80}") {
            let line = format!("STREAM STATUS {tail}");
            let _ = Reply::parse(line.as_bytes());
        }
    }
}
