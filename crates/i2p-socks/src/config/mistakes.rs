//! Mistakes in the text of a configuration file: all of them, in words for people.

use std::ops::Range;

use serde::{Deserialize as _, de::DeserializeOwned};
use toml::{
    Spanned, Table,
    de::{DeArray, DeTable, DeValue, Deserializer, Error},
};

use super::faulty::{Faulty, FaultyPart};

/// How many mistakes are looked for. Each is found by reading the file once more, without those before it.
pub(super) const MAX_MISTAKES: usize = 200;

/// What is wrong, and at which bytes of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) span: Option<Range<usize>>,
    /// For the user.
    pub(super) text: String,
    /// For the log, without what it quotes from the configuration.
    pub(super) log: String,
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        let (text, log) = (in_our_words(error.message()), without_quotation(error.message()));
        Self { span: error.span(), text, log }
    }
}

/// A text, read as far as it can be.
#[derive(Debug)]
pub(super) struct Reading<T> {
    /// What it says without the entries that have mistakes. `None` if that cannot be read.
    pub(super) rest: Option<T>,
    /// The keys of the rest.
    pub(super) keys: Table,
    pub(super) mistakes: Vec<Mistake>,
    /// What the rest lacks because of them.
    pub(super) faulty: Vec<Faulty>,
}

/// Reads a configuration. After a mistake, goes on without the entry that has it.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Reading<T> {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    let written = document.clone();
    let syntax = SyntaxErrors::new(text, &errors);
    let mut mistakes: Vec<_> =
        syntax.first_of_each_line(errors).map(|error| of_syntax(text, error)).collect();
    let mut faulty = Vec::new();
    let rest = loop {
        let mistake = match T::deserialize(Deserializer::from(document.clone())) {
            Ok(rest) => break Some(rest),
            Err(error) => error,
        };
        let mistake = as_text::<T>(&document, text, &mistake).unwrap_or(mistake);
        // What it says of the value has been reported, and the key was removed.
        let is_known = misses_what_is_written(written.get_ref(), &mistake);
        if let Some(missing) = add_what_is_missing(document.get_mut(), &mistake) {
            if !is_known && !syntax.explain(&mistake) {
                mistakes.push(mistake.into());
            }
            faulty.push(missing);
            continue;
        }
        let single =
            mistake.span().and_then(|span| list_of_a_single_table(document.get_ref(), &span, &mistake));
        let at = single.as_ref().map(|(_, whole)| whole.clone()).or_else(|| mistake.span());
        let is_unknown = mistake.message().starts_with(UNKNOWN_KEY);
        let removed = at.and_then(|span| remove_entry(document.get_mut(), &span, is_unknown));
        if !is_known && !syntax.explain(&mistake) {
            mistakes.push(match single {
                Some((name, _)) => in_single_brackets(&name, mistake),
                None => mistake.into(),
            });
        }
        match removed {
            Some(removed) if mistakes.len() < MAX_MISTAKES => {
                name_without(document.get_mut(), written.get_ref(), &removed);
                faulty.push(removed);
            }
            _ => break None,
        }
    };
    let keys = Table::deserialize(Deserializer::from(document)).unwrap_or_default();
    Reading { rest: rest.filter(|_| syntax.lines.is_empty()), keys, mistakes, faulty }
}

/// How serde begins to say that a key does not exist.
pub(super) const UNKNOWN_KEY: &str = "unknown field ";

/// Gives a tunnel a name in place of one with a mistake, so that it is not taken for the one without a name: one that resembles what is
/// written.
fn name_without(document: &mut DeTable<'_>, written: &DeTable<'_>, removed: &Faulty) {
    let Faulty { table: list, index: Some(index), part: FaultyPart::Value(key) } = removed else { return };
    if list != "tunnel" || key != "name" {
        return;
    }
    let tunnels = document.get_mut("tunnel").and_then(|tunnels| match tunnels.get_mut() {
        DeValue::Array(tunnels) => tunnels.get_mut(*index),
        _ => None,
    });
    if let Some(tunnel) = tunnels {
        let at = tunnel.span();
        if let DeValue::Table(table) = tunnel.get_mut() {
            let name = written_name(written, *index).and_then(|name| resembling(name, *index));
            insert(table, at, "name", name.unwrap_or_else(|| format!("number-{}", index + 1)));
        }
    }
}

fn written_name<'a>(written: &'a DeTable<'_>, index: usize) -> Option<&'a str> {
    let tunnel = written.get("tunnel")?.get_ref().as_array()?.get(index)?;
    tunnel.get_ref().as_table()?.get("name")?.get_ref().as_str()
}

/// A name of a tunnel that is valid, and in which people recognize the bad one. The number tells it from that of another tunnel.
fn resembling(name: &str, index: usize) -> Option<String> {
    let letters = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let letters: String = letters.take(MAX_RESEMBLING_CHARS).collect();
    let name = letters.trim_matches('-').to_ascii_lowercase();
    (!name.is_empty()).then(|| format!("{name}-{}", index + 1))
}

/// Leaves room for a number of a tunnel.
const MAX_RESEMBLING_CHARS: usize = 24;

fn insert(table: &mut DeTable<'_>, at: Range<usize>, key: &'static str, value: String) {
    table.insert(Spanned::new(at.clone(), key.into()), Spanned::new(at, DeValue::String(value.into())));
}

/// What stands in for a key that a table of a list lacks, so that its number stays, and the tables behind it are read.
const STAND_INS: [(&str, &str, &str); 5] = [
    ("outproxy", "name", "unnamed"),
    ("outproxy", "at", "missing.i2p"),
    ("outproxy", "protocol", "socks5"),
    ("filter", "protocol", "none"),
    ("route", "via", "reject"),
];

/// The key that a table lacks, if this mistake is that.
fn missing_key(mistake: &Error) -> Option<&str> {
    mistake.message().strip_prefix("missing field `")?.strip_suffix('`')
}

/// Whether the table of a list that lacks a key has it in the text.
fn misses_what_is_written(written: &DeTable<'_>, mistake: &Error) -> bool {
    let (Some(key), Some(at)) = (missing_key(mistake), mistake.span()) else { return false };
    let mut lists = written.values().filter_map(|value| value.get_ref().as_array());
    lists.any(|tables| {
        let mut same = tables.iter().filter(|table| table.span() == at);
        same.any(|table| table.get_ref().as_table().is_some_and(|table| table.contains_key(key)))
    })
}

/// Adds a key to the table that lacks it. Returns the table, if there is something that can stand in.
fn add_what_is_missing(document: &mut DeTable<'_>, mistake: &Error) -> Option<Faulty> {
    let missing = missing_key(mistake)?;
    let at = mistake.span()?;
    document.iter_mut().find_map(|(list, value)| {
        let of_list = |(of, key, _): &(&str, &str, &str)| **list.get_ref() == **of && *key == missing;
        let (_, key, stand_in) = STAND_INS.into_iter().find(of_list)?;
        let DeValue::Array(tables) = value.get_mut() else { return None };
        let index = tables.iter().position(|table| table.span() == at)?;
        let DeValue::Table(table) = tables.get_mut(index)?.get_mut() else { return None };
        let value = format!("{stand_in}-{index}");
        let value = if key == "name" { value } else { stand_in.to_owned() };
        insert(table, at.clone(), key, value);
        Some(Faulty { table: list.to_string(), index: Some(index), part: FaultyPart::Value(key.to_owned()) })
    })
}

/// The name of a table, and the place of its name in the text, if this mistake is that the text has a list of such tables, and there is
/// one of them.
fn list_of_a_single_table(
    document: &DeTable<'_>,
    at: &Range<usize>,
    mistake: &Error,
) -> Option<(String, Range<usize>)> {
    if !mistake.message().starts_with("invalid type: map") {
        return None;
    }
    document.iter().find_map(|(name, value)| {
        let DeValue::Array(tables) = value.get_ref() else { return None };
        let is_here = tables.iter().any(|table| table.span() == *at && table.get_ref().is_table());
        is_here.then(|| (name.get_ref().to_string(), name.span()))
    })
}

fn in_single_brackets(name: &str, mistake: Error) -> Mistake {
    let text = format!("there is one table {name}: write [{name}] in single brackets, once");
    Mistake { log: text.clone(), text, ..mistake.into() }
}

/// What toml says of a number or a boolean in place of one of several words.
const NO_WORD: &str = "wanted string or table";

/// What is wrong with the value of a mistake even in quotes, if a text is expected: which words there are, or which texts.
fn as_text<T: DeserializeOwned>(
    document: &Spanned<DeTable<'_>>,
    text: &str,
    mistake: &Error,
) -> Option<Error> {
    if mistake.message() != NO_WORD && !mistake.message().ends_with(", expected a string") {
        return None;
    }
    let span = mistake.span()?;
    let mut quoted = document.clone();
    let value = value_at(quoted.get_mut(), &span)?;
    if matches!(value, DeValue::String(_) | DeValue::Table(_) | DeValue::Array(_)) {
        return None;
    }
    *value = DeValue::String(text.get(span.clone())?.to_owned().into());
    T::deserialize(Deserializer::from(quoted)).err().filter(|error| error.span() == Some(span))
}

/// The value at this place of the text.
fn value_at<'a, 'i>(table: &'a mut DeTable<'i>, at: &Range<usize>) -> Option<&'a mut DeValue<'i>> {
    table.iter_mut().find_map(|(_, value)| within(value, at))
}

fn within<'a, 'i>(value: &'a mut Spanned<DeValue<'i>>, at: &Range<usize>) -> Option<&'a mut DeValue<'i>> {
    if value.span() == *at {
        return Some(value.get_mut());
    }
    match value.get_mut() {
        DeValue::Table(table) => value_at(table, at),
        DeValue::Array(list) => list.iter_mut().find_map(|entry| within(entry, at)),
        _ => None,
    }
}

/// What toml says of a key or a table that there is already.
const DUPLICATE_KEY: &str = "duplicate key";

/// A mistake in a line that is not TOML. Most often, a text has no quotes.
fn of_syntax(text: &str, error: Error) -> Mistake {
    let line = error.span().and_then(|span| text.lines().nth(line_at(text, span.start) - 1));
    let mistake = Mistake::from(error);
    if mistake.text == DUPLICATE_KEY {
        let text = format!("{DUPLICATE_KEY}: an earlier line has it as well; keep one of them");
        return Mistake { text, ..mistake };
    }
    match line.and_then(text_without_quotes) {
        Some(value) => Mistake { text: quotes_needed(value), ..mistake },
        None => mistake,
    }
}

fn quotes_needed(value: &str) -> String {
    let without_zeros = value.trim_start_matches('0');
    match without_zeros.parse::<u64>() {
        Ok(number) if without_zeros.len() < value.len() => {
            format!("a number has no zeros in front: write {number}, or \"{value}\" if a text is expected")
        }
        _ => format!("a text needs quotes: write \"{value}\""),
    }
}

/// The value of a line `KEY = VALUE`, if it is neither in quotes nor in brackets.
fn text_without_quotes(line: &str) -> Option<&str> {
    let (_, value) = line.split_once('=')?;
    let value = value.split('#').next()?.trim();
    (!value.is_empty() && !value.contains(['"', '\'', '[', ']', '{', '}', '=', '\\', ','])).then_some(value)
}

/// The lines of a text that are not TOML.
struct SyntaxErrors<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> SyntaxErrors<'a> {
    fn new(text: &'a str, errors: &[Error]) -> Self {
        let lines =
            errors.iter().map(|error| line_at(text, error.span().map_or(0, |span| span.start))).collect();
        Self { text, lines }
    }

    /// The parser finds several errors in what is one mistake to the user.
    fn first_of_each_line(&self, errors: Vec<Error>) -> impl Iterator<Item = Error> {
        let first =
            |index: usize, line: &usize| !self.lines.iter().take(index).any(|earlier| earlier == line);
        let kept: Vec<_> = self.lines.iter().enumerate().map(|(index, line)| first(index, line)).collect();
        errors.into_iter().zip(kept).filter_map(|(error, kept)| kept.then_some(error))
    }

    /// Whether this mistake may be none once the lines are TOML: it is in such a line, or misses what is in one, or a line that
    /// should begin a table has not.
    fn explain(&self, mistake: &Error) -> bool {
        let line = line_at(self.text, mistake.span().map_or(0, |span| span.start));
        let begins_table = |number: &usize| {
            self.text.lines().nth(number - 1).is_some_and(|line| line.trim_start().starts_with('['))
        };
        let misses_something = !self.lines.is_empty() && mistake.message().starts_with("missing field");
        misses_something
            || self.lines.contains(&line)
            || self.lines.iter().any(|error| *error < line && begins_table(error))
    }
}

/// The line of this byte, counted from 1.
fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// Removes the innermost entry at this place of the text. Returns what was removed, if there was something.
fn remove_entry(document: &mut DeTable<'_>, at: &Range<usize>, is_unknown: bool) -> Option<Faulty> {
    if let Some(table) = remove_key(document, at) {
        let part = if is_unknown { FaultyPart::UnknownTable } else { FaultyPart::Table };
        return Some(Faulty { table, index: None, part });
    }
    for (name, value) in document.iter_mut() {
        let name = name.get_ref().to_string();
        if let DeValue::Array(tables) = value.get_mut() {
            for (index, table) in tables.iter_mut().enumerate() {
                let part = part_at(table, at, is_unknown);
                if remove_within(table, at) {
                    return Some(Faulty { table: name, index: Some(index), part });
                }
            }
        }
        let part = part_at(value, at, is_unknown);
        if remove_within(value, at) {
            return Some(Faulty { table: name, index: None, part });
        }
    }
    let name = document.iter().find(|(key, value)| covers(key, at) || covers(value, at))?.0.clone();
    document.remove(&name);
    Some(Faulty { table: name.get_ref().to_string(), index: None, part: FaultyPart::Table })
}

/// What is wrong with this table, if there is a mistake at this place of the text.
fn part_at(table: &Spanned<DeValue<'_>>, at: &Range<usize>, is_unknown: bool) -> FaultyPart {
    let mut entries = table.get_ref().as_table().into_iter().flatten();
    match entries.find(|(key, value)| covers(key, at) || covers(value, at)) {
        Some((key, _)) if is_unknown && key.span() == *at => FaultyPart::UnknownKey,
        Some((key, value)) if is_one_of_several(value, at) => FaultyPart::Entry(key.get_ref().to_string()),
        Some((key, _)) => FaultyPart::Value(key.get_ref().to_string()),
        None => FaultyPart::Table,
    }
}

/// Whether this value is a list of several entries, one of which is at this place of the text.
fn is_one_of_several(value: &Spanned<DeValue<'_>>, at: &Range<usize>) -> bool {
    let entries = value.get_ref().as_array().filter(|entries| entries.len() > 1);
    entries.is_some_and(|entries| entries.iter().any(|entry| covers(entry, at)))
}

/// Removes the entry whose key is at this place of the text, with all that it holds: every table of a mistyped name is one mistake.
fn remove_key(table: &mut DeTable<'_>, at: &Range<usize>) -> Option<String> {
    let key = table.iter().find(|(key, _)| key.span() == *at)?.0.clone();
    table.remove(&key);
    Some(key.to_string())
}

/// Removes the innermost entry at this place of a table. Returns whether there was one.
fn remove_from(table: &mut DeTable<'_>, at: &Range<usize>) -> bool {
    if remove_key(table, at).is_some() {
        return true;
    }
    if table.iter_mut().any(|(_, value)| remove_within(value, at)) {
        return true;
    }
    let here = table.iter().find(|(key, value)| covers(key, at) || covers(value, at));
    let Some(key) = here.map(|(key, _)| key.clone()) else { return false };
    table.remove(&key).is_some()
}

fn remove_within(value: &mut Spanned<DeValue<'_>>, at: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove_from(table, at),
        DeValue::Array(list) => {
            if list.iter_mut().any(|entry| remove_within(entry, at)) {
                return true;
            }
            // An empty list may be a mistake of its own: in its place, the key is removed.
            let rest: DeArray<'_> = list.iter().filter(|entry| !covers(entry, at)).cloned().collect();
            if rest.is_empty() || rest.len() == list.len() {
                return false;
            }
            *list = rest;
            true
        }
        _ => false,
    }
}

fn covers<T>(entry: &Spanned<T>, at: &Range<usize>) -> bool {
    entry.span().start <= at.start && at.end <= entry.span().end
}

/// What serde and toml say of a value of the wrong type speaks of Rust, and so do the names that they have for keys and values.
pub(super) fn in_our_words(message: &str) -> String {
    if message == NO_WORD {
        return "expected a text in quotes".to_owned();
    }
    let types = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let types = types.and_then(|types| types.split_once(", expected "));
    let Some((found, expected)) = types else { return of_keys_and_values(message) };
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        // Large ones are followed by a type.
        Some(("integer", number)) => format!("the number {}", number.split('`').nth(1).unwrap_or(number)),
        Some(("floating", number)) => {
            format!("the number {}", number.trim_start_matches("point ").trim_matches('`'))
        }
        Some(("boolean", word)) => word.trim_matches('`').to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a table".to_owned(),
        _ => found.to_owned(),
    };
    let expected = match expected {
        "a boolean" => "true or false, without quotes",
        "a string" => "a text in quotes",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" | "i64" => "a whole number",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        number if number.starts_with("a nonzero ") => "a whole number greater than 0",
        table if table.starts_with("struct ") => "a table",
        other => other,
    };
    let quoted = found.strip_prefix("the text ").map(|text| text.trim_matches('"'));
    let number = quoted.and_then(|text| text.parse::<u32>().ok());
    let bare = found.strip_prefix("the number ").unwrap_or(&found);
    let advice = match (expected, quoted) {
        ("true or false, without quotes", Some(word @ ("true" | "false"))) => format!(": write {word}"),
        (expected, Some(_)) if number.is_some_and(|number| is_in_range(expected, number)) => {
            // Without zeros in front, which TOML refuses.
            format!(": write {} without quotes", number.unwrap_or_default())
        }
        ("a text in quotes", None) if !found.starts_with("a ") => format!(": write \"{bare}\""),
        _ => String::new(),
    };
    format!("expected {expected}, found {found}{advice}")
}

/// Whether a number is one that is expected in these words.
fn is_in_range(expected: &str, number: u32) -> bool {
    let Some(range) = expected.strip_prefix("a whole number") else { return false };
    let Some((min, max)) = range.strip_prefix(" from ").and_then(|range| range.split_once(" to ")) else {
        return number > 0 || range.is_empty();
    };
    min.parse().is_ok_and(|min| number >= min) && max.parse().is_ok_and(|max| number <= max)
}

/// A message with the words of the documentation: keys and values.
fn of_keys_and_values(message: &str) -> String {
    let words = [
        ("unknown field ", "unknown key "),
        ("unknown variant ", "unknown value "),
        ("missing field ", "missing key "),
    ];
    let found = words.into_iter().find_map(|(theirs, ours)| Some((ours, message.strip_prefix(theirs)?)));
    found.map_or_else(|| message.to_owned(), |(ours, rest)| format!("{ours}{rest}"))
}

/// A message without what it quotes from the configuration: names and addresses.
///
/// Our own messages quote in `"`, those of serde in backticks. What serde says is missing or expected is a key of ours.
pub(super) fn without_quotation(message: &str) -> String {
    const QUOTES: [char; 2] = ['"', '`'];
    if message.starts_with("missing field `") {
        return of_keys_and_values(message);
    }
    let message = of_keys_and_values(message);
    let expected = message.rfind(", expected").unwrap_or(message.len());
    let (quoting, expected) = message.split_at(expected);
    match (quoting.find(QUOTES), quoting.rfind(QUOTES)) {
        (Some(first), Some(last)) => {
            let rest = quoting.get(last..).unwrap_or_default().trim_start_matches(QUOTES);
            format!("{}[scrubbed]{rest}{expected}", quoting.get(..first).unwrap_or_default())
        }
        _ => message.clone(),
    }
}
