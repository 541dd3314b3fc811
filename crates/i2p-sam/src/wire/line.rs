use std::borrow::Cow;

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_till, take_while1},
    combinator::{opt, recognize, rest},
    multi::many0_count,
    sequence::{delimited, preceded},
};

/// The error for a line that does not follow the grammar of SAM v3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a line of the SAM protocol")]
pub struct Malformed;

/// Any line of the protocol, in either direction: two words and pairs (SAM v3, "Generic protocol").
///
/// ```
/// use i2p_sam::wire::Line;
/// let line = Line::parse(br#"STREAM STATUS RESULT=I2P_ERROR MESSAGE="no \"such\" luck""#)?;
/// assert_eq!((line.command, line.subcommand), ("STREAM", "STATUS"));
/// assert_eq!(line.value("MESSAGE").as_deref(), Some("no \"such\" luck"));
/// # Ok::<(), i2p_sam::wire::Malformed>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The first word, such as `STREAM`, unchanged: it is case-sensitive by specification.
    pub command: &'a str,
    /// The second word, such as `CONNECT`; empty for `HELP` and `QUIT`, which have none.
    pub subcommand: &'a str,
    pairs: &'a str,
}

impl<'a> Line<'a> {
    /// Parses a line without its newline. A `\r` at its end is ignored.
    ///
    /// # Errors
    /// [`Malformed`] for a line that is not UTF-8, does not begin with a word, or has a pair without a key.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (pairs, (command, subcommand)) = words(line).map_err(|_| Malformed)?;
        let line = Self { command, subcommand, pairs };
        // Check the pairs once, so that later readers need not.
        line.pairs().try_for_each(|pair| pair.map(|_| ()))?;
        Ok(line)
    }

    /// All pairs in their order: the key, and the value without quotes and escapes. A missing value is empty.
    pub fn pairs(&self) -> impl Iterator<Item = Result<(&'a str, Cow<'a, str>), Malformed>> + use<'a> {
        let mut input = self.pairs;
        std::iter::from_fn(move || {
            input = input.trim_start_matches([' ', '\t']);
            if input.is_empty() {
                return None;
            }
            match pair(input) {
                Ok((remaining, found)) => {
                    input = remaining;
                    Some(Ok(found))
                }
                Err(_) => {
                    input = "";
                    Some(Err(Malformed))
                }
            }
        })
    }

    /// The value of the first pair with this key. Later ones may be part of an unquoted `MESSAGE` that holds an `=`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Cow<'a, str>> {
        self.pairs().filter_map(Result::ok).find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// The value of the first pair with this key, as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Malformed> {
        self.value(key).map(|value| value.parse().map_err(|_| Malformed)).transpose()
    }
}

fn words(line: &str) -> IResult<&str, (&str, &str)> {
    let mut word = take_while1(|c: char| c.is_ascii_alphanumeric());
    let (line, command) = word.parse(line)?;
    if line.trim_start_matches([' ', '\t']).is_empty() {
        return Ok(("", (command, "")));
    }
    let (line, _) = take_while1(|c| c == ' ')(line)?;
    let (line, subcommand) = word.parse(line)?;
    // A word ends at a blank: `HTTP/1.1` is refused here.
    let (line, _) =
        alt((recognize(take_while1(|c| c == ' ' || c == '\t')), nom::combinator::eof)).parse(line)?;
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
    // An escape is a backslash and any character after it.
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

/// A quote that is never closed: the rest of the line is the value. Such a value is only shown to people.
fn unterminated(input: &str) -> IResult<&str, &str> {
    preceded(tag("\""), rest).parse(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_pairs() {
        let line =
            Line::parse(br#"NAMING REPLY  RESULT=OK   OPTION:_smtp._tcp="1 86400 0 0 25 x" EMPTY= BARE"#)
                .unwrap();
        assert_eq!((line.command, line.subcommand), ("NAMING", "REPLY"));
        let pairs: Vec<_> = line.pairs().map(Result::unwrap).collect();
        let expected =
            [("RESULT", "OK"), ("OPTION:_smtp._tcp", "1 86400 0 0 25 x"), ("EMPTY", ""), ("BARE", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key, Cow::Borrowed(value))));
        assert_eq!(Line::parse(b"HELP\r").unwrap().subcommand, "");
        assert_eq!(Line::parse(b"HELP  ").unwrap().command, "HELP");
    }

    #[test]
    fn the_first_of_two_equal_keys_counts() {
        let line = Line::parse(b"STREAM STATUS RESULT=OK RESULT=TIMEOUT").unwrap();
        assert_eq!(line.value("RESULT").as_deref(), Some("OK"));
        assert_eq!(line.value("MESSAGE"), None);
    }

    #[test]
    fn a_line_of_another_protocol_is_malformed() {
        for line in [
            &b""[..],
            b"HTTP/1.1 400 Bad Request",
            b"\xff\xfe",
            b"SSH-2.0-OpenSSH",
            b" STREAM STATUS",
            b"A B =c",
        ] {
            assert_eq!(Line::parse(line), Err(Malformed), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(line) = Line::parse(&line) {
                prop_assert!(line.pairs().all(|pair| pair.is_ok()));
            }
        }

        #[test]
        fn any_pairs_are_parsed_without_panic(tail in "[ -~]{0,80}") {
            let text = format!("STREAM STATUS {tail}");
            if let Ok(line) = Line::parse(text.as_bytes()) {
                prop_assert!(line.pairs().count() <= tail.len());
            }
        }
    }
}
