use std::{borrow::Cow, fmt};

use super::{
    line::{Line, Malformed},
    ports::Ports,
    result::{Status, Version},
};

/// A line from the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// `HELLO REPLY`.
    Hello {
        /// The result.
        status: Status<'a>,
        /// `VERSION`.
        version: Option<Version>,
    },
    /// `SESSION STATUS`, to `SESSION CREATE`, `ADD` and `REMOVE`.
    Session {
        /// The result.
        status: Status<'a>,
        /// `DESTINATION`: the session's private key.
        private_key: Option<Cow<'a, str>>,
        /// `ID`: the subsession that was added or removed, if the router names it.
        id: Option<Cow<'a, str>>,
    },
    /// `STREAM STATUS`.
    Stream {
        /// The result.
        status: Status<'a>,
    },
    /// `NAMING REPLY`.
    Naming {
        /// The result.
        status: Status<'a>,
        /// `NAME`: the name that was asked for.
        name: Cow<'a, str>,
        /// `VALUE`: the destination.
        value: Option<Cow<'a, str>>,
        /// The options of the lease set, if they were asked for and the router supports them.
        options: LeaseSetOptions<'a>,
    },
    /// `DEST REPLY`.
    Dest {
        /// The result.
        status: Status<'a>,
        /// `PUB`: the destination.
        destination: Option<Cow<'a, str>>,
        /// `PRIV`: the private key, which begins with the destination.
        private_key: Option<Cow<'a, str>>,
    },
    /// `DATAGRAM RECEIVED`: `size` bytes follow the line.
    Datagram {
        /// `DESTINATION`: the sender.
        destination: Cow<'a, str>,
        /// `SIZE`, in bytes.
        size: usize,
        /// `FROM_PORT` and `TO_PORT`, since 3.2.
        ports: Ports,
    },
    /// `RAW RECEIVED`: `size` bytes follow the line.
    Raw {
        /// `SIZE`, in bytes.
        size: usize,
        /// `FROM_PORT` and `TO_PORT`, since 3.2.
        ports: Ports,
        /// `PROTOCOL`, since 3.2.
        protocol: Option<u8>,
    },
    /// `PING`, with its text.
    Ping(&'a str),
    /// `PONG`, with its text.
    Pong(&'a str),
    /// Any other well-formed line, such as `QUIT STATUS` or the answer to an unknown command.
    Other {
        /// The first word.
        command: &'a str,
        /// The second.
        subcommand: &'a str,
        /// The result.
        status: Status<'a>,
    },
}

impl<'a> Reply<'a> {
    /// Parses a line without its newline. A `\r` at its end is ignored.
    ///
    /// # Errors
    /// [`Malformed`] for a line that is not UTF-8, does not follow the grammar of SAM v3, or holds an invalid number.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        if let Some(text) = after_word(line, "PING")? {
            return Ok(Self::Ping(text));
        }
        if let Some(text) = after_word(line, "PONG")? {
            return Ok(Self::Pong(text));
        }
        let line = Line::parse(line)?;
        let status = Status::in_line(&line);
        Ok(match (line.command, line.subcommand) {
            ("HELLO", "REPLY") => {
                Self::Hello { status, version: line.value("VERSION").as_deref().and_then(Version::parse) }
            }
            ("SESSION", "STATUS") => {
                Self::Session { status, private_key: line.value("DESTINATION"), id: line.value("ID") }
            }
            ("STREAM", "STATUS") => Self::Stream { status },
            ("NAMING", "REPLY") => Self::Naming {
                status,
                name: line.value("NAME").unwrap_or_default(),
                value: line.value("VALUE"),
                options: LeaseSetOptions(line),
            },
            ("DEST", "REPLY") => {
                Self::Dest { status, destination: line.value("PUB"), private_key: line.value("PRIV") }
            }
            ("DATAGRAM", "RECEIVED") => Self::Datagram {
                destination: line.value("DESTINATION").ok_or(Malformed)?,
                size: line.number("SIZE")?.ok_or(Malformed)?,
                ports: Ports::in_line(&line)?,
            },
            ("RAW", "RECEIVED") => Self::Raw {
                size: line.number("SIZE")?.ok_or(Malformed)?,
                ports: Ports::in_line(&line)?,
                protocol: line.number("PROTOCOL")?,
            },
            (_, "") => return Err(Malformed),
            (command, subcommand) => Self::Other { command, subcommand, status },
        })
    }
}

/// The text after this word, if the line begins with it.
fn after_word<'a>(line: &'a [u8], word: &str) -> Result<Option<&'a str>, Malformed> {
    let Some(rest) = line.strip_prefix(word.as_bytes()) else { return Ok(None) };
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let text = match rest {
        [] => rest,
        [b' ', text @ ..] => text,
        _ => return Ok(None),
    };
    std::str::from_utf8(text).map(Some).map_err(|_| Malformed)
}

/// The options of a lease set (`NAMING LOOKUP OPTIONS=true`; proposal 167 has service records among them).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LeaseSetOptions<'a>(Line<'a>);

impl<'a> LeaseSetOptions<'a> {
    /// Each option's key and value, in the order of the reply.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let option = |(key, value): (&'a str, _)| key.strip_prefix("OPTION:").map(|key| (key, value));
        self.0.pairs().filter_map(Result::ok).filter_map(option)
    }
}

impl fmt::Debug for LeaseSetOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The line that names the peer: an accepting connection receives it once a peer has connected, and a forwarded connection
/// begins with it. It holds the peer's destination, and since 3.2 the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedFrom<'a> {
    /// The peer's destination in base64.
    pub destination: &'a str,
    /// `FROM_PORT` and `TO_PORT`; 0 where the router does not report them.
    pub ports: Ports,
}

impl<'a> AcceptedFrom<'a> {
    /// Parses the line without its newline.
    ///
    /// # Errors
    /// [`Malformed`] when it does not start with a destination in I2P's base64.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let mut words = line.trim_end_matches('\r').split(' ');
        let destination = words.next().unwrap_or_default();
        if destination.len() < 516 || !is_base64(destination) {
            return Err(Malformed);
        }
        Ok(Self { destination, ports: Ports::in_words(words)? })
    }
}

/// Whether the text holds nothing but characters of I2P's base64.
pub(super) fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-~=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::ResultWord;

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
            Ok(Reply::Session {
                status: status(ResultWord::Ok, None),
                private_key: Some("AB-~=".into()),
                id: None
            })
        );
        assert_eq!(
            Reply::parse(b"SESSION STATUS RESULT=DUPLICATE_ID"),
            Ok(Reply::Session {
                status: status(ResultWord::DuplicatedId, None),
                private_key: None,
                id: None
            })
        );
        assert_eq!(
            Reply::parse(b"SESSION STATUS RESULT=OK ID=\"sub1\" MESSAGE=\"ADD sub1\""),
            Ok(Reply::Session {
                status: status(ResultWord::Ok, Some("ADD sub1")),
                private_key: None,
                id: Some("sub1".into())
            })
        );
        assert_eq!(
            Reply::parse(b"STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"LeaseSet not found\""),
            Ok(Reply::Stream { status: status(ResultWord::CantReachPeer, Some("LeaseSet not found")) })
        );
        assert_eq!(
            Reply::parse(b"DEST REPLY PUB=AA PRIV=AABB"),
            Ok(Reply::Dest {
                status: status(ResultWord::Ok, None),
                destination: Some("AA".into()),
                private_key: Some("AABB".into())
            })
        );
        assert_eq!(
            Reply::parse(b"DATAGRAM RECEIVED DESTINATION=AA SIZE=3 FROM_PORT=1 TO_PORT=2"),
            Ok(Reply::Datagram { destination: "AA".into(), size: 3, ports: Ports { from: 1, to: 2 } })
        );
        assert_eq!(
            Reply::parse(b"RAW RECEIVED SIZE=9 PROTOCOL=18"),
            Ok(Reply::Raw { size: 9, ports: Ports::default(), protocol: Some(18) })
        );
        assert_eq!(Reply::parse(b"PING 1763870000"), Ok(Reply::Ping("1763870000")));
        assert_eq!(Reply::parse(b"PING\r"), Ok(Reply::Ping("")));
        assert_eq!(Reply::parse(b"PONG a  b"), Ok(Reply::Pong("a  b")));
        assert_eq!(
            Reply::parse(b"QUIT STATUS RESULT=OK MESSAGE=bye"),
            Ok(Reply::Other {
                command: "QUIT",
                subcommand: "STATUS",
                status: status(ResultWord::Ok, Some("bye"))
            })
        );
    }

    #[test]
    fn a_naming_reply_and_its_options() {
        let line =
            br#"NAMING REPLY RESULT=OK NAME=a.i2p VALUE=AA OPTION:_imap._tcp="0 86400 143" OPTION:x=1"#;
        let Ok(Reply::Naming { status, name, value, options }) = Reply::parse(line) else { panic!() };
        assert_eq!((status.result, &*name, value.as_deref()), (ResultWord::Ok, "a.i2p", Some("AA")));
        let options: Vec<_> = options.iter().collect();
        assert_eq!(options, [("_imap._tcp", "0 86400 143".into()), ("x", "1".into())]);
        let Ok(Reply::Naming { status, .. }) = Reply::parse(b"NAMING REPLY RESULT=LEASESET_NOT_FOUND NAME=a")
        else {
            panic!()
        };
        assert_eq!(status.result, ResultWord::LeasesetNotFound);
    }

    #[test]
    fn unknown_result_words_are_kept_without_special_characters() {
        let Ok(Reply::Stream { status }) = Reply::parse("STREAM STATUS RESULT=NEW_\u{1b}[31mWORD".as_bytes())
        else {
            panic!("not a stream status")
        };
        assert_eq!(status.result, ResultWord::Other("NEW_31mWORD".into()));
    }

    #[test]
    fn a_line_that_is_no_reply_is_malformed() {
        for line in [
            &b"HELLO"[..],
            b"DATAGRAM RECEIVED SIZE=3",
            b"DATAGRAM RECEIVED DESTINATION=a SIZE=-1",
            b"RAW RECEIVED SIZE=3 PROTOCOL=256",
            b"RAW RECEIVED SIZE=3 FROM_PORT=65536",
            b"PING \xff",
        ] {
            assert_eq!(Reply::parse(line), Err(Malformed), "{line:?}");
        }
    }

    #[test]
    fn the_peer_of_an_accepted_stream() {
        let destination = "A".repeat(516);
        for (tail, from, to) in
            [("", 0, 0), (" FROM_PORT=7 TO_PORT=8", 7, 8), (" TO_PORT=9\r", 0, 9), (" NEW=x", 0, 0)]
        {
            assert_eq!(
                AcceptedFrom::parse(format!("{destination}{tail}").as_bytes()),
                Ok(AcceptedFrom { destination: &destination, ports: Ports { from, to } })
            );
        }
        assert_eq!(AcceptedFrom::parse(b"STREAM STATUS RESULT=I2P_ERROR"), Err(Malformed));
        assert_eq!(AcceptedFrom::parse(format!("{destination} FROM_PORT=x").as_bytes()), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&line);
            let _ = AcceptedFrom::parse(&line);
        }

        #[test]
        fn any_text_after_known_words_is_parsed_without_panic(head in "(STREAM STATUS|RAW RECEIVED|NAMING REPLY|PING)", tail in "[ -~]{0,80}") {
            let line = format!("{head} {tail}");
            let _ = Reply::parse(line.as_bytes());
        }
    }
}
