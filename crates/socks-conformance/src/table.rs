//! Writes and reads `docs/conformance.md`.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use crate::rows::{self, Row};

/// Where the page is, below the root of the workspace.
pub(crate) const FILE: &str = "docs/conformance.md";

/// The result of a row on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    Pass,
    /// What happened instead.
    Fail(String),
    /// Why the row does not apply to the server.
    NotApplicable(String),
}

impl Mark {
    fn symbol(&self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Fail(_) => "✗",
            Self::NotApplicable(_) => "–",
        }
    }
}

/// The results of a server.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) version: String,
    /// One for each row.
    pub(crate) marks: Vec<Mark>,
    /// The time from the reply to the target's data.
    pub(crate) first_bytes: Option<Duration>,
}

impl Column {
    /// The rows that have failed, and what happened instead.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static Row, &str)> {
        rows::all().zip(&self.marks).filter_map(|(row, mark)| match mark {
            Mark::Fail(failure) => Some((row, failure.as_str())),
            _ => None,
        })
    }

    /// How many rows have passed, failed, and do not apply.
    fn counts(&self) -> [usize; 3] {
        ["✓", "✗", "–"].map(|symbol| self.marks.iter().filter(|mark| mark.symbol() == symbol).count())
    }
}

const INTRODUCTION: &str = "\
# How SOCKS servers behave

Written by `cargo xtask socks-conformance --write`; do not edit. `cargo xtask socks-conformance`, a step of `cargo xtask ci`,
runs the suite again and compares its results with this page. It fails if the rows differ or if a mark of i2p-socks differs. It
only reports different marks of other servers, since their versions may differ. `SOCKS_CONFORMANCE_SUBJECT` (`ours`,
`microsocks`, `dante`, `i2pd`) chooses one server.

Each row is a conversation in raw bytes (`crates/socks-conformance/src/rows/`). All servers run on one machine, in a network
namespace that no packet leaves. They are all asked to connect to the same services on loopback. microsocks and Dante dial these
services and resolve their name with a name server of the suite. i2p-socks uses the project's test SAM bridge. i2pd has a
private network of two routers with tunnels of no hops, so its rows on relaying show the behaviour of both routers.

| mark | meaning |
|---|---|
| ✓ | the server behaves like this |
| ✗ | it does not; the notes below the table tell what it does instead |
| – | the row does not apply; the notes tell why |

A ✗ is not always a fault. The second column names the rule; if no RFC demands the behaviour, it names the reason.

";

/// The whole file.
pub(crate) fn render(columns: &[Column]) -> String {
    let mut text = String::from(INTRODUCTION);
    text += "| server | version | ✓ | ✗ | – | time from the reply to data |\n|---|---|--:|--:|--:|---|\n";
    for column in columns {
        let [passed, failed, other] = column.counts();
        let first_bytes = column.first_bytes.map_or("not measured".into(), roughly);
        let Column { title, version, .. } = column;
        line(
            &mut text,
            format_args!("| {title} | {version} | {passed} | {failed} | {other} | {first_bytes} |"),
        );
    }
    text += "\nThe last column is measured but not judged. The target sends data as soon as it is connected, so the reply and this \
             data are\ntwo small packets. A server that leaves Nagle's algorithm on holds the second one back until the client \
             acknowledges the\nfirst one, about 40 ms later.\n\n";
    marks(&mut text, columns);
    for column in columns {
        notes(&mut text, column);
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// Rounds a time so that it does not change with every run.
fn roughly(time: Duration) -> String {
    match time.as_millis() {
        0..5 => "under 5 ms".into(),
        5..20 => "under 20 ms".into(),
        more => format!("about {} ms", (more + 5) / 10 * 10),
    }
}

const FIRST: &str = "| behaviour | rule or reason |";

fn marks(text: &mut String, columns: &[Column]) {
    let titles: String = columns.iter().map(|column| format!(" {} |", column.title)).collect();
    line(text, format_args!("{FIRST}{titles}"));
    line(text, format_args!("|---|---|{}", ":-:|".repeat(columns.len())));
    for (index, Row { name, rule, .. }) in rows::all().enumerate() {
        let marks = columns.iter().filter_map(|column| column.marks.get(index)).map(Mark::symbol);
        let marks: String = marks.map(|mark| format!(" {mark} |")).collect();
        line(text, format_args!("| {name} | {rule} |{marks}"));
    }
}

fn notes(text: &mut String, column: &Column) {
    let [_, failed, other] = column.counts();
    if failed + other > 0 {
        line(text, format_args!("\n## {}\n", column.title));
    }
    for (row, failure) in column.failures() {
        line(text, format_args!("* ✗ {}: {failure}", row.name));
    }
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for (row, mark) in rows::all().zip(&column.marks) {
        if let Mark::NotApplicable(reason) = mark {
            reasons.entry(reason).or_default().push(row.name);
        }
    }
    for (reason, names) in reasons {
        line(text, format_args!("* – {reason}: {}", names.join("; ")));
    }
}

/// The marks on a page: by the title of the server, then by the name of the row.
pub(crate) type Marks<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

pub(crate) fn read(text: &str) -> Marks<'_> {
    let mut table =
        text.lines().skip_while(|line| !line.starts_with(FIRST)).take_while(|line| line.starts_with('|'));
    let titles: Vec<_> = table.next().map_or(Vec::new(), columns_of);
    let mut marks = Marks::new();
    for row in table.skip(1) {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let Some(name) = cells.next() else { continue };
        for (title, mark) in titles.iter().zip(cells.skip(1)) {
            marks.entry(title).or_default().insert(name, mark);
        }
    }
    marks
}

fn columns_of(header: &str) -> Vec<&str> {
    header.trim_matches('|').split('|').map(str::trim).skip(2).collect()
}

/// The differences between the committed page and a new one, for the servers on both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Rows that only one of them has.
    pub(crate) rows: Vec<String>,
    /// Marks of ours that differ, also those of rows that no longer apply.
    pub(crate) ours: Vec<String>,
    /// Marks of others that differ.
    pub(crate) others: Vec<String>,
}

/// Compares the committed page with a new one, on which our server has this title. The wording of the notes does not count.
pub(crate) fn compare(committed: &str, new: &str, ours: &str) -> Differences {
    let (committed, new) = (read(committed), read(new));
    let mut differences = Differences::default();
    for (title, new) in &new {
        let marks = if *title == ours { &mut differences.ours } else { &mut differences.others };
        let Some(old) = committed.get(title) else {
            marks.push(format!("{title} is new"));
            continue;
        };
        for (name, mark) in new {
            match old.get(name) {
                Some(before) if before == mark => {}
                Some(before) => marks.push(format!("{title}: {name}: was {before}, is {mark}")),
                None => differences.rows.push(format!("new: {name}")),
            }
        }
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        differences.rows.extend(gone.map(|name| format!("gone: {name}")));
    }
    differences.rows.sort_unstable();
    differences.rows.dedup();
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(title: &'static str, first: Mark) -> Column {
        let mut marks: Vec<_> = rows::all().map(|_| Mark::Pass).collect();
        marks[0] = first;
        Column { title, version: "1".into(), marks, first_bytes: Some(Duration::from_millis(42)) }
    }

    fn first_row() -> &'static str {
        rows::all().next().unwrap().name
    }

    #[test]
    fn a_page_has_counts_marks_and_notes() {
        let failed = column("theirs", Mark::Fail("came late".into()));
        let text = render(&[column("ours", Mark::Pass), failed]);
        let rest = rows::all().count() - 1;
        assert!(text.contains(&format!("| ours | 1 | {} | 0 | 0 | about 40 ms |\n", rest + 1)), "{text}");
        assert!(text.contains(&format!("| theirs | 1 | {rest} | 1 | 0 | about 40 ms |\n")), "{text}");
        assert!(text.contains(&format!("| {} | ", first_row())) && text.contains(" | ✓ | ✗ |\n"), "{text}");
        assert!(text.contains(&format!("\n## theirs\n\n* ✗ {}: came late\n", first_row())), "{text}");
        assert!(!text.contains("## ours"));
    }

    #[test]
    fn rows_that_do_not_apply_are_listed_by_reason() {
        let text = render(&[column("theirs", Mark::NotApplicable("has none".into()))]);
        assert!(text.contains(&format!("\n* – has none: {}\n", first_row())), "{text}");
    }

    #[test]
    fn equal_marks_are_not_a_difference() {
        let fail = |what: &str| render(&[column("theirs", Mark::Fail(what.into()))]);
        assert_eq!(compare(&fail("one way"), &fail("another way"), "ours"), Differences::default());
    }

    #[test]
    fn different_marks_are_named_ours_apart_from_others() {
        let old = render(&[column("ours", Mark::Pass), column("theirs", Mark::Pass)]);
        let gone = Mark::NotApplicable("y".into());
        let new = render(&[column("ours", gone), column("theirs", Mark::Fail("x".into()))]);
        let Differences { rows, ours, others } = compare(&old, &new, "ours");
        assert!(rows.is_empty());
        assert_eq!(ours, [format!("ours: {}: was ✓, is –", first_row())]);
        assert_eq!(others, [format!("theirs: {}: was ✓, is ✗", first_row())]);
        // Servers that did not run are not compared.
        let theirs = render(&[column("theirs", Mark::Pass)]);
        assert_eq!(compare(&old, &theirs, "ours"), Differences::default());
    }

    #[test]
    fn new_and_missing_rows_are_named() {
        let whole = render(&[column("ours", Mark::Pass), column("theirs", Mark::Pass)]);
        let line = format!("| {} |", first_row());
        let shorter: String =
            whole.lines().filter(|row| !row.starts_with(&line)).map(|row| format!("{row}\n")).collect();
        assert_eq!(compare(&shorter, &whole, "ours").rows, [format!("new: {}", first_row())]);
        assert_eq!(compare(&whole, &shorter, "ours").rows, [format!("gone: {}", first_row())]);
    }

    #[test]
    fn a_page_without_a_table_has_no_servers() {
        let new = render(&[column("ours", Mark::Pass)]);
        assert_eq!(compare("", &new, "ours").ours, ["ours is new"]);
    }
}
