//! Everything that is wrong with a configuration, in the order of the file, each with its line.

use std::{fmt::Write as _, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    mistakes::{FaultyTable, Mistake},
    overrides::Override,
    problem::{Place, Problem},
};
use crate::command_error::CommandError;

/// Mistakes in the text of a file, and problems of what it says.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    path: Option<&'a Path>,
    text: &'a str,
    faulty: Vec<FaultyTable>,
    /// What environment and command line set. The lines of the file do not show these values.
    overrides: Vec<Override>,
    found: Vec<Mistake>,
}

impl<'a> Findings<'a> {
    /// No problem, or these mistakes in the text, with the tables in which they are.
    pub(super) fn new(
        path: Option<&'a Path>,
        text: &'a str,
        mistakes: Vec<Mistake>,
        faulty: Vec<FaultyTable>,
    ) -> Self {
        Self { path, text, faulty, overrides: Vec::new(), found: mistakes }
    }

    /// Shows no line for what is wrong with a table of which these set a key.
    pub(super) fn without_lines_of(mut self, overrides: &[Override]) -> Self {
        self.overrides = overrides.to_vec();
        self
    }

    /// Adds mistakes of options.
    pub(super) fn extend(&mut self, mistakes: Vec<Mistake>) {
        self.found.extend(mistakes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds a problem, unless it may be gone once the mistakes in the text are. Both checks of files see some problems: each is
    /// reported once.
    pub(crate) fn add(&mut self, problem: Problem) {
        let is_faulty = |place: &Place| {
            self.faulty.iter().any(|(table, index)| {
                table == place.table && (index.is_none() || place.index.is_none() || *index == place.index)
            })
        };
        let Problem { text, places } = problem;
        if places.iter().any(is_faulty) {
            return;
        }
        let is_overridden = |place: &Place| self.overrides.iter().any(|one| one.is_of(place.table));
        let in_file = places.first().filter(|place| !is_overridden(place));
        let span = in_file.and_then(|place| span_of(self.text, *place));
        if self.found.iter().any(|found| found.text == text && found.span == span) {
            return;
        }
        self.found.push(Mistake { span, log: text.clone(), text });
    }

    /// # Errors
    /// Every finding, if there is one.
    pub(crate) fn into_result(self) -> Result<(), CommandError> {
        if self.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    /// The error that reports every finding.
    pub(crate) fn into_error(mut self) -> CommandError {
        self.found.sort_by_key(|found| found.span.as_ref().map_or(usize::MAX, |span| span.start));
        let shown: Vec<_> = self.found.iter().map(|found| self.shown(found)).collect();
        let log: Vec<_> = self.found.iter().map(|found| self.for_log(found)).collect();
        if self.found.iter().all(|found| found.span.is_none()) {
            return CommandError::usage(shown.join("\n")).with_log(log.join("\n"));
        }
        let name = self.path.unwrap_or(Path::new("")).display();
        let count = match shown.len() {
            1 => "an error".to_owned(),
            count => format!("{count} errors"),
        };
        CommandError::usage(format_args!("the configuration file {name} has {count}\n{}", shown.join("\n")))
            .with_log(format_args!("the configuration file {name} has {count} {}", log.join("; ")))
    }

    /// The line with a finding, with the place marked, and what is wrong.
    fn shown(&self, Mistake { span, text, .. }: &Mistake) -> String {
        let Some(span) = span else { return text.clone() };
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let width = |bytes: Range<usize>| self.text.get(bytes).map_or(0, |part| part.chars().count());
        let column = width(line_start..start);
        let marked = width(start..span.end.min(line_start + line.len())).max(1);
        let margin = " ".repeat(number.to_string().len() + 1);
        let mut shown = format!("line {number}, column {}\n{margin}|\n{number} | {line}\n", column + 1);
        let _ = write!(shown, "{margin}| {}{}\n{text}", " ".repeat(column), "^".repeat(marked));
        shown
    }

    fn for_log(&self, Mistake { span, log, .. }: &Mistake) -> String {
        let before = span.as_ref().and_then(|span| self.text.get(..span.start));
        before.map_or_else(
            || log.clone(),
            |before| format!("in line {}: {log}", before.matches('\n').count() + 1),
        )
    }
}

/// Where the file sets this key; the beginning of the table, if it does not.
fn span_of(text: &str, place: Place) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let (name, value) = document.get_ref().get_key_value(place.table)?;
    let table = match (value.get_ref(), place.index) {
        (DeValue::Array(tables), Some(index)) => tables.get(index)?,
        (DeValue::Table(_), None) => value,
        _ => return Some(name.span()),
    };
    let key = table.get_ref().as_table().and_then(|table| table.get_key_value(place.key));
    Some(key.map_or_else(|| table.span(), |(key, _): (&Spanned<_>, _)| key.span()))
}
