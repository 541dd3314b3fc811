//! Mistakes in the text of a configuration file: all of them, in words for people.

use std::{ops::Range, path::Path};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, Deserializer, Error},
};

use crate::command_error::CommandError;

/// How many mistakes are reported. A file with more of them is none of ours.
const MAX_MISTAKES: usize = 20;

/// Parses a configuration. After a mistake, goes on without the entry that has it.
///
/// # Errors
/// Every mistake, in the order in which they were found; if the text is not TOML, only the first.
pub(super) fn parse_with_all_mistakes<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Error>> {
    let mut document = DeTable::parse(text).map_err(|error| vec![error])?;
    let mut mistakes = Vec::new();
    loop {
        let mut mistake = match T::deserialize(Deserializer::from(document.clone())) {
            Ok(parsed) if mistakes.is_empty() => return Ok(parsed),
            Ok(_) => return Err(mistakes),
            Err(error) => error,
        };
        mistake.set_input(Some(text));
        let removed = mistake.span().is_some_and(|span| remove_entry(document.get_mut(), &span));
        mistakes.push(mistake);
        if !removed || mistakes.len() == MAX_MISTAKES {
            return Err(mistakes);
        }
    }
}

/// Removes the innermost entry at this place of the text. Returns whether there was one.
fn remove_entry(table: &mut DeTable<'_>, at: &Range<usize>) -> bool {
    if table.iter_mut().any(|(_, value)| remove_within(value, at)) {
        return true;
    }
    let here = table.iter().find(|(key, value)| covers(key, at) || covers(value, at));
    let Some(key) = here.map(|(key, _)| key.clone()) else { return false };
    table.remove(&key).is_some()
}

fn remove_within(value: &mut Spanned<DeValue<'_>>, at: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove_entry(table, at),
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

/// The error that reports the mistakes in a file.
pub(super) fn errors_in_file(path: Option<&Path>, text: &str, mistakes: &[Error]) -> CommandError {
    let shown = path.unwrap_or(Path::new("")).display();
    let count = match mistakes {
        [_] => "an error".to_owned(),
        _ => format!("{} errors", mistakes.len()),
    };
    let all: Vec<_> = mistakes.iter().map(described).collect();
    let log: Vec<_> = mistakes.iter().map(|mistake| for_log(text, mistake)).collect();
    CommandError::usage(format_args!("the configuration file {shown} has {count}\n{}", all.join("\n")))
        .with_log(format_args!("the configuration file {shown} has {count} {}", log.join("; ")))
}

/// A mistake with its place, its line, and what is wrong in our words.
fn described(mistake: &Error) -> String {
    let text = mistake.to_string();
    let text = text.strip_prefix("TOML parse error at ").unwrap_or(&text);
    text.replace(mistake.message(), &in_our_words(mistake.message())).trim_end().to_owned()
}

fn for_log(text: &str, mistake: &Error) -> String {
    let before = mistake.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, message) = (before.matches('\n').count() + 1, without_quotation(mistake.message()));
    format!("in line {line}: {message}")
}

/// What serde says of a value of the wrong type speaks of Rust. Other messages are as they are.
fn in_our_words(message: &str) -> String {
    let types = message.strip_prefix("invalid type: ").and_then(|types| types.split_once(", expected "));
    let Some((found, expected)) = types else { return message.to_owned() };
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
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
        number if number.trim_start_matches(['u', 'i']).starts_with(['8', '1', '3', '6', 's']) => {
            "a whole number"
        }
        number if number.starts_with("a nonzero ") => "a whole number greater than 0",
        table if table.starts_with("struct ") => "a table",
        other => other,
    };
    format!("expected {expected}, found {found}")
}

/// A message without what it quotes from the configuration: names and addresses.
///
/// Our own messages quote in `"`, those of serde in backticks. What serde says is missing or expected is a key of ours.
pub(super) fn without_quotation(message: &str) -> String {
    const QUOTES: [char; 2] = ['"', '`'];
    if message.starts_with("missing field `") {
        return message.to_owned();
    }
    let expected = message.rfind(", expected").unwrap_or(message.len());
    let (quoting, expected) = message.split_at(expected);
    match (quoting.find(QUOTES), quoting.rfind(QUOTES)) {
        (Some(first), Some(last)) => {
            let rest = quoting.get(last..).unwrap_or_default().trim_start_matches(QUOTES);
            format!("{}[scrubbed]{rest}{expected}", quoting.get(..first).unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}
