//! Everything that is wrong with a configuration, in the order of the file, each with its line.

use std::{fmt::Write as _, ops::Range, path::Path};

use toml::{
    Spanned, Table,
    de::{DeTable, DeValue},
};

use super::{
    Config,
    faulty::Faulty,
    mistakes::{MAX_MISTAKES, Mistake},
    overrides::{SetKey, TABLE_LISTS},
    problem::{Place, Problem},
};
use crate::command_error::CommandError;

/// Mistakes in the text of a file, and problems of what it says together with the options.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    path: Option<&'a Path>,
    text: &'a str,
    /// What is missing because of mistakes.
    faulty: Vec<Faulty>,
    /// The keys of file and options without mistakes.
    keys: Table,
    /// What environment and command line set. The lines of the file do not show these values.
    overrides: Vec<SetKey>,
    of_file: Vec<Mistake>,
    of_options: Vec<Mistake>,
    warnings: Vec<String>,
}

impl<'a> Findings<'a> {
    /// No problem, or these mistakes in the text, with what the keys lack because of them.
    pub(super) fn new(
        path: Option<&'a Path>,
        text: &'a str,
        mistakes: Vec<Mistake>,
        faulty: Vec<Faulty>,
        keys: Table,
    ) -> Self {
        let (overrides, of_options, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self { path, text, faulty, keys, overrides, of_file: mistakes, of_options, warnings }
    }

    /// Adds a mistake of an option, which has set nothing.
    pub(super) fn add_of_options(&mut self, mistake: Mistake, faulty: Option<Faulty>) {
        // It may name a table that the file names with a mistake.
        let is_unsure = |faulty: &Faulty| {
            let names_none = TABLE_LISTS.contains(&faulty.table.as_str()) && faulty.index.is_none();
            names_none && self.faulty.iter().any(|of_file| of_file.may_rename(&faulty.table))
        };
        if !faulty.as_ref().is_some_and(is_unsure) {
            self.of_options.push(mistake);
        }
        self.faulty.extend(faulty);
    }

    /// Has all keys, and those that options have set.
    pub(super) fn set_keys(&mut self, keys: Table, overrides: Vec<SetKey>) {
        (self.keys, self.overrides) = (keys, overrides);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.of_file.is_empty() && self.of_options.is_empty()
    }

    /// Adds a problem, unless it may be gone once the mistakes are. Both checks of files see some problems: each is reported once.
    /// It is shown in the line of its first key, unless an option has set that. The options that set its keys are named.
    pub(crate) fn add(&mut self, problem: Problem) {
        if self.faulty.iter().any(|faulty| faulty.may_mend(&problem, &self.keys)) {
            return;
        }
        let Problem { mut text, places, .. } = problem;
        // If several options set a key, the last one wins.
        let set_by = |place: &Place| self.overrides.iter().rev().find(|set| set.is_at(*place));
        let mut origins: Vec<_> = places.iter().filter_map(set_by).map(|set| set.origin.as_str()).collect();
        origins.dedup();
        let in_file = places.first().filter(|place| set_by(place).is_none());
        let span = in_file.and_then(|place| span_of(self.text, *place));
        let is_of_file = span.is_some() || origins.is_empty();
        if !origins.is_empty() {
            text = format!("{}: {text}", origins.join(", "));
        }
        let found = Mistake { span, log: text.clone(), text };
        let list = if is_of_file { &mut self.of_file } else { &mut self.of_options };
        if !list.iter().any(|other| other.text == found.text && other.span == found.span) {
            list.push(found);
        }
    }

    /// Adds a warning, which is shown if there are problems.
    pub(crate) fn warn(&mut self, warning: &str) {
        self.warnings.push(format!("warning: {warning}"));
    }

    /// The configuration that was examined, if there is no finding.
    ///
    /// # Errors
    /// Every finding.
    pub(crate) fn into_result(self, config: Option<Config>) -> Result<Config, CommandError> {
        match config {
            Some(config) if self.is_empty() => Ok(config),
            _ => Err(self.into_error()),
        }
    }

    /// The error that reports every finding.
    pub(super) fn into_error(mut self) -> CommandError {
        self.of_file.sort_by_key(|found| found.span.as_ref().map_or(usize::MAX, |span| span.start));
        let of_options = || self.of_options.iter();
        let shown = self.of_file.iter().map(|found| self.shown(found));
        let shown = shown.chain(of_options().map(|found| found.text.clone())).chain(self.warnings.clone());
        let log = self.of_file.iter().map(|found| self.for_log(found));
        let log = log.chain(of_options().map(|found| found.log.clone()));
        let (shown, log) = (shown.collect::<Vec<_>>().join("\n"), log.collect::<Vec<_>>().join("; "));
        if self.of_file.iter().all(|found| found.span.is_none()) {
            return CommandError::usage(shown).with_log(log);
        }
        let name = self.path.unwrap_or(Path::new("")).display();
        let count = match self.of_file.len() {
            1 => "an error".to_owned(),
            count if count >= MAX_MISTAKES => format!("{count} errors or more"),
            count => format!("{count} errors"),
        };
        let heading = format!("the configuration file {name} has {count}");
        CommandError::usage(format_args!("{heading}\n{shown}")).with_log(format_args!("{heading} {log}"))
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
