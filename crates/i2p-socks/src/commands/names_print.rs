//! What `names` prints, for people and for programs.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::{
    command_error::CommandError,
    json,
    names::protocol::{FeedUpdate, ImportCounts, NameConflict, NameEntry, Subscription},
    terminal::output::{Format, print, print_part, remark},
};

const NO_SUBSCRIPTIONS: &str = "there are no subscriptions: add one with i2p-socks names subscribe URL";

fn json_text(value: &impl Serialize) -> Result<String, CommandError> {
    json::pretty(value).map_err(CommandError::run_time)
}

/// How a command says what it has done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) format: Format,
    /// Nothing is said of success.
    pub(crate) quiet: bool,
}

/// A list of any length, printed page by page.
pub(super) struct NameList {
    format: Format,
    empty: bool,
}

impl NameList {
    pub(super) fn start(format: Format) -> Result<Self, CommandError> {
        if format == Format::Json {
            print("[")?;
        }
        Ok(Self { format, empty: true })
    }

    /// Prints a page. `Break`: nobody reads the next one.
    pub(super) fn page(&mut self, page: &[NameEntry]) -> Result<ControlFlow<()>, CommandError> {
        let mut text = String::new();
        for name in page {
            if self.format == Format::Json {
                text += if self.empty { "\n" } else { ",\n" };
                text += &serde_json::to_string(name).map_err(CommandError::run_time)?;
            } else {
                let NameEntry { name, b32, source, added, .. } = name;
                text += &format!("{name}  {b32}  {added}  {source}\n");
            }
            self.empty = false;
        }
        print_part(text.as_bytes())
    }

    /// Ends the list of the names that begin with `prefix`.
    pub(super) fn end(&self, prefix: &str) -> Result<(), CommandError> {
        if self.format == Format::Json {
            return print("\n]\n");
        }
        match (self.empty, prefix) {
            (true, "") => remark("the address book is empty"),
            (true, prefix) => remark(&format!("no name in the address book begins with {prefix}")),
            (false, _) => {}
        }
        Ok(())
    }
}

/// Says what a command has done: to programs on stdout, and to people on stderr, unless they want to hear of problems only.
pub(super) fn done(what: &str, Manner { format, quiet }: Manner) -> Result<(), CommandError> {
    match format {
        Format::Json => print("{\n  \"done\": true\n}\n")?,
        _ if quiet => {}
        _ => remark(what),
    }
    Ok(())
}

pub(super) fn imported(imported: &ImportCounts, format: Format) -> Result<(), CommandError> {
    print(&format.render(imported, |imported| sum(imported) + &reasons(imported))?)?;
    if imported.not_a_feed {
        return Err(CommandError::run_time(
            "the input is neither a hosts.txt nor a feed: none of its lines is valid. Each line of a hosts.txt is NAME=DESTINATION, \
             with the destination in base64",
        ));
    }
    Ok(())
}

fn sum(imported: &ImportCounts) -> String {
    let ImportCounts { added, changed, removed, same, superseded, conflicts, refused, cut, .. } = imported;
    let mut text = format!(
        "{added} added, {changed} changed, {removed} removed, {same} known before, {superseded} superseded, {conflicts} in \
         conflict, {refused} refused\n"
    );
    if *cut {
        text += "the input was larger than the limit; the rest was not read\n";
    }
    if *superseded > 0 {
        text += "superseded lines are outdated: their names were changed or removed since\n";
    }
    if *conflicts > 0 {
        text += "i2p-socks names conflicts lists the conflicts\n";
    }
    text
}

fn reasons(imported: &ImportCounts) -> String {
    imported.reasons.iter().map(|reason| format!("  {reason}\n")).collect()
}

pub(super) fn feeds(feeds: &[Subscription], format: Format) -> Result<(), CommandError> {
    if format == Format::Json {
        return print(&json_text(&feeds)?);
    }
    if feeds.is_empty() {
        remark(NO_SUBSCRIPTIONS);
    }
    let line = |feed: &Subscription| {
        let Subscription { url, configured, checked, problem } = feed;
        let by = if *configured { "configuration" } else { "names subscribe" };
        let checked = checked.as_ref().map_or_else(|| "never read".to_owned(), |at| format!("read {at}"));
        let problem = problem.as_ref().map(|problem| format!("  {problem}")).unwrap_or_default();
        format!("{url}  {by}  {checked}{problem}\n")
    };
    print(&feeds.iter().map(line).collect::<String>())
}

/// Fails if a feed could not be read.
pub(super) fn updated(updated: &[FeedUpdate], format: Format) -> Result<(), CommandError> {
    if format == Format::Json {
        print(&json_text(&updated)?)?;
    } else if updated.is_empty() {
        remark(NO_SUBSCRIPTIONS);
    } else {
        let line = |FeedUpdate { url, imported, problem }: &FeedUpdate| {
            let what = match (imported, problem) {
                (_, Some(problem)) => format!("{problem}\n"),
                (Some(imported), None) => sum(imported),
                (None, None) => "unchanged\n".to_owned(),
            };
            format!("{url}: {what}")
        };
        print(&updated.iter().map(line).collect::<String>())?;
    }
    match updated.iter().filter(|updated| updated.problem.is_some()).count() {
        0 => Ok(()),
        failed => Err(CommandError::run_time(format_args!(
            "{failed} of {} subscriptions could not be read; the names that they brought before stay",
            updated.len()
        ))),
    }
}

pub(super) fn conflicts(conflicts: &[NameConflict], format: Format) -> Result<(), CommandError> {
    if format == Format::Json {
        return print(&json_text(&conflicts)?);
    }
    if conflicts.is_empty() {
        remark("there are no conflicts");
    }
    let lines = |conflict: &NameConflict| {
        let NameConflict { name, kept_b32, offered_b32, source, at, .. } = conflict;
        format!("{name}  keeps {kept_b32}\n  {source} offered {offered_b32}, {at}\n")
    };
    print(&conflicts.iter().map(lines).collect::<String>())
}
