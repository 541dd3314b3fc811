//! What the commands print, for people and for programs.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::Serialize;

use crate::{
    failure::Failure,
    names::question::{Conflict, Feed, Imported, Name, Updated},
    terminal::output::remark,
};

const NO_SUBSCRIPTIONS: &str = "there are no subscriptions: add one with i2p-socks names subscribe URL";

pub(super) fn cannot_write(error: &io::Error) -> Failure {
    Failure::run_time(format_args!("cannot write the answer: {error}"))
}

fn out(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|error| cannot_write(&error))
}

fn as_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Failure::run_time)
}

/// A list of any length, printed page by page.
pub(super) struct List {
    json: bool,
    empty: bool,
}

impl List {
    pub(super) fn start(json: bool) -> Result<Self, Failure> {
        if json {
            out("[")?;
        }
        Ok(Self { json, empty: true })
    }

    pub(super) fn page(&mut self, page: &[Name]) -> Result<(), Failure> {
        let mut text = String::new();
        for name in page {
            if self.json {
                text += if self.empty { "\n" } else { ",\n" };
                text += &serde_json::to_string(name).map_err(Failure::run_time)?;
            } else {
                let Name { name, b32, source, added, .. } = name;
                text += &format!("{name}  {b32}  {added}  {source}\n");
            }
            self.empty = false;
        }
        out(text)
    }

    /// `all`: whether the whole book was asked for.
    pub(super) fn end(&self, all: bool) -> Result<(), Failure> {
        if self.json {
            return out("\n]\n");
        }
        match (self.empty, all) {
            (true, true) => remark("the address book is empty"),
            (true, false) => remark("no name in the address book starts so"),
            (false, _) => {}
        }
        Ok(())
    }
}

/// Something was changed.
pub(super) fn done(json: bool) -> Result<(), Failure> {
    if json { out("{\n  \"done\": true\n}\n") } else { Ok(()) }
}

pub(super) fn imported(imported: &Imported, json: bool) -> Result<(), Failure> {
    out(if json { as_json(imported)? } else { sum(imported) + &reasons(imported) })
}

fn sum(imported: &Imported) -> String {
    let Imported { added, changed, removed, same, superseded, conflicts, refused, cut, .. } = imported;
    let mut text = format!(
        "{added} added, {changed} changed, {removed} removed, {same} known before, {superseded} superseded, {conflicts} in \
         conflict, {refused} refused\n"
    );
    if *cut {
        text += "there was more than is read\n";
    }
    if *conflicts > 0 {
        text += "see i2p-socks names conflicts\n";
    }
    text
}

fn reasons(imported: &Imported) -> String {
    imported.reasons.iter().map(|reason| format!("  {reason}\n")).collect()
}

pub(super) fn feeds(feeds: &[Feed], json: bool) -> Result<(), Failure> {
    if json {
        return out(as_json(&feeds)?);
    }
    if feeds.is_empty() {
        remark(NO_SUBSCRIPTIONS);
    }
    let line = |feed: &Feed| {
        let Feed { url, configured, checked, problem } = feed;
        let by = if *configured { "configuration" } else { "names subscribe" };
        let checked = checked.as_ref().map_or_else(|| "never read".to_owned(), |at| format!("read {at}"));
        let problem = problem.as_ref().map(|problem| format!("  {problem}")).unwrap_or_default();
        format!("{url}  {by}  {checked}{problem}\n")
    };
    out(feeds.iter().map(line).collect::<String>())
}

/// Fails if one could not be read.
pub(super) fn updated(updated: &[Updated], json: bool) -> Result<(), Failure> {
    if json {
        out(as_json(&updated)?)?;
    } else if updated.is_empty() {
        remark(NO_SUBSCRIPTIONS);
    } else {
        let line = |Updated { url, imported, problem }: &Updated| {
            let what = match (imported, problem) {
                (_, Some(problem)) => format!("{problem}\n"),
                (Some(imported), None) => sum(imported),
                (None, None) => "nothing new\n".to_owned(),
            };
            format!("{url}: {what}")
        };
        out(updated.iter().map(line).collect::<String>())?;
    }
    match updated.iter().filter(|updated| updated.problem.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failure::run_time(format_args!(
            "{failed} of {} subscriptions could not be read; the names that are known stay",
            updated.len()
        ))),
    }
}

pub(super) fn conflicts(conflicts: &[Conflict], json: bool) -> Result<(), Failure> {
    if json {
        return out(as_json(&conflicts)?);
    }
    if conflicts.is_empty() {
        remark("no feed wanted to change a name");
    }
    let lines = |conflict: &Conflict| {
        let Conflict { name, kept_b32, offered_b32, source, at, .. } = conflict;
        format!("{name}  stays {kept_b32}\n  {source} wanted {offered_b32}, {at}\n")
    };
    out(conflicts.iter().map(lines).collect::<String>())
}
