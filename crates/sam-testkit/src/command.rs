//! The lines of clients.

use crate::dialect::Dialect;

/// One line of a client, parsed as the dialect does (SAM v3, "SAM message syntax").
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The first word.
    pub(crate) verb: String,
    /// The second word; empty where there is none.
    pub(crate) action: String,
    pairs: Vec<(String, String)>,
}

impl Command {
    /// Parses a line.
    ///
    /// # Errors
    /// Java I2P's message for a line that it cannot parse. i2pd and emissary skip what they do not understand.
    pub(crate) fn parse(line: &str, dialect: Dialect) -> Result<Self, String> {
        match dialect {
            Dialect::Java => java(line),
            Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => Ok(i2pd(line)),
            Dialect::Emissary => Ok(emissary(line)),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether there is any pair at all.
    pub(crate) fn has_pairs(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Whether the line holds `KEY=true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// The value of a key as a number, for example a port. `None` when the key is missing, an error when it is no such number.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, T::Err> {
        self.get(key).map(str::parse).transpose()
    }

    /// Sets the value of a key, replacing an earlier one.
    fn set(&mut self, key: &str, value: String) {
        self.pairs.retain(|(name, _)| name != key);
        self.pairs.push((key.to_owned(), value));
    }
}

/// Java I2P: words in upper or lower case, quotes and escapes anywhere; a key without a value is `true`.
fn java(line: &str) -> Result<Command, String> {
    let mut tokens = java_tokens(line)?.into_iter();
    let mut word = || tokens.next().unwrap_or_default().to_ascii_uppercase();
    let (verb, action) = (word(), word());
    let mut command = Command { verb, action, pairs: Vec::new() };
    // If the second word is missing, a pair is taken for it, which is no known action.
    for token in tokens {
        let (key, value) = token.split_once('=').unwrap_or((&token, ""));
        if key.is_empty() {
            return Err("Empty parameter name".to_owned());
        }
        if command.get(key).is_some() {
            return Err(format!("Duplicate parameter {key}"));
        }
        let value = if value.is_empty() { "true" } else { value };
        command.set(key, value.to_owned());
    }
    Ok(command)
}

fn java_tokens(line: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => token.push(characters.next().ok_or("Unterminated escape")?),
            '"' => quoted = !quoted,
            '\r' => {}
            ' ' | '\t' | '\u{8}' | '\u{c}' if !quoted => {
                if !token.is_empty() {
                    tokens.push(std::mem::take(&mut token));
                }
            }
            _ => token.push(character),
        }
    }
    if quoted {
        return Err("Unterminated quote".to_owned());
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    Ok(tokens)
}

/// i2pd: splits at single blanks, knows no quotes, and ignores words without `=`.
fn i2pd(line: &str) -> Command {
    let mut tokens = line.trim_end_matches('\r').split(' ');
    let mut word = || tokens.next().unwrap_or_default().to_owned();
    let mut command = Command { verb: word(), action: word(), pairs: Vec::new() };
    for (key, value) in tokens.filter_map(|token| token.split_once('=')) {
        command.set(key, value.to_owned());
    }
    command
}

/// emissary: the first invalid pair ends the line; quotes are understood, and escapes are not decoded.
fn emissary(line: &str) -> Command {
    let line = line.trim_end_matches('\r');
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (action, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut command = Command { verb: verb.to_owned(), action: action.to_owned(), pairs: Vec::new() };
    while let Some((key, value, after)) = emissary_pair(rest.trim_start_matches(' ')) {
        command.set(key, value.to_owned());
        rest = after;
    }
    command
}

fn emissary_pair(text: &str) -> Option<(&str, &str, &str)> {
    let (key, rest) = text.split_once('=')?;
    let letter = |character: char| character.is_ascii_alphabetic() || character == '_';
    let inner = |character: char| letter(character) || character.is_ascii_digit() || character == '.';
    if !key.starts_with(letter) || !key.chars().all(inner) {
        return None;
    }
    let (value, after) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_once(' ').unwrap_or((rest, "")),
    };
    (!value.is_empty()).then_some((key, value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(line: &str, dialect: Dialect, key: &str) -> Option<String> {
        Command::parse(line, dialect).unwrap().get(key).map(str::to_owned)
    }

    #[test]
    fn java_accepts_quotes_blanks_and_lower_case() {
        let command =
            Command::parse("  session\tcreate  ID=\"a b\" X=\\\"y KEY DEST= \r", Dialect::Java).unwrap();
        assert_eq!((command.verb.as_str(), command.action.as_str()), ("SESSION", "CREATE"));
        let values = ["ID", "X", "KEY", "DEST"].map(|key| command.get(key));
        assert_eq!(values, [Some("a b"), Some("\"y"), Some("true"), Some("true")]);
    }

    #[test]
    fn java_reports_what_is_wrong() {
        // Java I2P 2.7.0, SESSION CREATE errors.
        for (line, error) in [
            ("SESSION CREATE STYLE=STREAM ID=a ID=b DESTINATION=abcd", "Duplicate parameter ID"),
            ("SESSION CREATE STYLE=STREAM ID=\"a DESTINATION=TRANSIENT", "Unterminated quote"),
            ("SESSION CREATE =STREAM", "Empty parameter name"),
        ] {
            assert_eq!(Command::parse(line, Dialect::Java), Err(error.to_owned()));
        }
    }

    #[test]
    fn i2pd_knows_no_quotes() {
        assert_eq!(pair("A B ID=\"a b\"", Dialect::I2pd245, "ID").unwrap(), "\"a");
        assert_eq!(pair("A B x  ID=1 ID=2", Dialect::I2pd245, "ID").unwrap(), "2");
        assert_eq!(pair("a b ID=1", Dialect::I2pd245, "ID").unwrap(), "1");
    }

    #[test]
    fn emissary_stops_at_the_first_invalid_pair() {
        assert_eq!(pair("A B ID=\"a b\" X=1", Dialect::Emissary, "X").unwrap(), "1");
        assert_eq!(pair("A B 9=1 ID=a", Dialect::Emissary, "ID"), None);
        assert_eq!(pair("A B EMPTY= ID=a", Dialect::Emissary, "ID"), None);
    }
}
