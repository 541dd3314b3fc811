//! Writes, reads and compares the page.

use std::{collections::BTreeMap, fmt::Write};

use crate::mark::Mark;

/// A behaviour.
#[derive(Debug, Clone, Copy)]
pub struct RowName {
    /// The behaviour.
    pub name: &'static str,
    /// The rule that demands it, or why it matters.
    pub rule: &'static str,
}

/// What is on a page beside the results.
pub struct Page<'a> {
    /// Where it is, below the root of the workspace.
    pub file: &'a str,
    /// Its first lines, with an empty line at the end.
    pub introduction: &'a str,
    /// What is measured beside the rows, and not judged.
    pub measured: Option<Measured<'a>>,
    /// The title of our server.
    pub ours: &'a str,
    /// The rows, in order.
    pub rows: Vec<RowName>,
}

/// A number that is measured on each server.
pub struct Measured<'a> {
    /// The head of its column.
    pub title: &'a str,
    /// What the number is, in whole lines.
    pub note: &'a str,
}

/// The results of a server.
pub struct Column {
    /// The server.
    pub title: &'static str,
    /// Its version.
    pub version: String,
    /// One for each row.
    pub marks: Vec<Mark>,
    /// The number that is measured, if one is.
    pub measured: Option<String>,
}

impl Column {
    /// How many rows have passed, failed, and do not apply.
    fn counts(&self) -> [usize; 3] {
        ["✓", "✗", "–"].map(|symbol| self.marks.iter().filter(|mark| mark.symbol() == symbol).count())
    }
}

const FIRST: &str = "| behaviour | rule or reason |";

impl Page<'_> {
    /// The rows that have failed on a server, and what happened instead.
    pub(crate) fn failures<'c>(&self, column: &'c Column) -> impl Iterator<Item = (RowName, &'c str)> {
        self.rows.iter().zip(&column.marks).filter_map(|(row, mark)| match mark {
            Mark::Fail(failure) => Some((*row, failure.as_str())),
            _ => None,
        })
    }

    /// The whole file.
    #[must_use]
    pub fn render(&self, columns: &[Column]) -> String {
        let mut text = self.introduction.to_owned();
        let (title, line_below) = match &self.measured {
            Some(measured) => (format!(" {} |", measured.title), "---|"),
            None => (String::new(), ""),
        };
        line(&mut text, format_args!("| server | version | ✓ | ✗ | – |{title}"));
        line(&mut text, format_args!("|---|---|--:|--:|--:|{line_below}"));
        for column in columns {
            let [passed, failed, other] = column.counts();
            let measured = column.measured.as_deref().unwrap_or("not measured");
            let measured = if self.measured.is_some() { format!(" {measured} |") } else { String::new() };
            let Column { title, version, .. } = column;
            line(
                &mut text,
                format_args!("| {title} | {version} | {passed} | {failed} | {other} |{measured}"),
            );
        }
        if let Some(measured) = &self.measured {
            line(&mut text, format_args!("\n{}", measured.note));
        }
        text.push('\n');
        self.write_marks(&mut text, columns);
        for column in columns {
            self.write_notes(&mut text, column);
        }
        text
    }

    fn write_marks(&self, text: &mut String, columns: &[Column]) {
        let titles: String = columns.iter().map(|column| format!(" {} |", column.title)).collect();
        line(text, format_args!("{FIRST}{titles}"));
        line(text, format_args!("|---|---|{}", ":-:|".repeat(columns.len())));
        for (index, RowName { name, rule }) in self.rows.iter().enumerate() {
            let marks = columns.iter().filter_map(|column| column.marks.get(index)).map(Mark::symbol);
            let marks: String = marks.map(|mark| format!(" {mark} |")).collect();
            line(text, format_args!("| {name} | {rule} |{marks}"));
        }
    }

    fn write_notes(&self, text: &mut String, column: &Column) {
        let [_, failed, other] = column.counts();
        if failed + other > 0 {
            line(text, format_args!("\n## {}\n", column.title));
        }
        for (row, failure) in self.failures(column) {
            line(text, format_args!("* ✗ {}: {failure}", row.name));
        }
        let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
        for (row, mark) in self.rows.iter().zip(&column.marks) {
            if let Mark::NotApplicable(reason) = mark {
                reasons.entry(reason).or_default().push(row.name);
            }
        }
        for (reason, names) in reasons {
            line(text, format_args!("* – {reason}: {}", names.join("; ")));
        }
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// The marks on a page: by the title of the server, then by the name of the row.
pub type Marks<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// Reads the marks of a page.
#[must_use]
pub fn read(text: &str) -> Marks<'_> {
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

    const ROWS: [RowName; 2] =
        [RowName { name: "first", rule: "RFC 1" }, RowName { name: "second", rule: "RFC 2" }];

    fn column(title: &'static str, first: Mark) -> Column {
        Column {
            title,
            version: "1".into(),
            marks: vec![first, Mark::Pass],
            measured: Some("about 40 ms".into()),
        }
    }

    fn render(columns: &[Column]) -> String {
        let measured = Some(Measured { title: "time", note: "Not judged." });
        let (file, introduction, ours) = ("docs/x.md", "# Page\n\n", "ours");
        Page { file, introduction, measured, ours, rows: ROWS.to_vec() }.render(columns)
    }

    #[test]
    fn a_page_has_counts_marks_and_notes() {
        let failed = column("theirs", Mark::Fail("came late".into()));
        let text = render(&[column("ours", Mark::Pass), failed]);
        assert_eq!(
            text,
            "# Page\n\n| server | version | ✓ | ✗ | – | time |\n|---|---|--:|--:|--:|---|\n\
             | ours | 1 | 2 | 0 | 0 | about 40 ms |\n| theirs | 1 | 1 | 1 | 0 | about 40 ms |\n\nNot judged.\n\n\
             | behaviour | rule or reason | ours | theirs |\n|---|---|:-:|:-:|\n\
             | first | RFC 1 | ✓ | ✗ |\n| second | RFC 2 | ✓ | ✓ |\n\n## theirs\n\n* ✗ first: came late\n"
        );
    }

    #[test]
    fn what_is_not_measured_has_no_column() {
        let page = Page { file: "x", introduction: "", measured: None, ours: "ours", rows: ROWS.to_vec() };
        let text = page.render(&[column("ours", Mark::Pass)]);
        assert!(text.starts_with(
            "| server | version | ✓ | ✗ | – |\n|---|---|--:|--:|--:|\n| ours | 1 | 2 | 0 | 0 |\n\n"
        ));
    }

    #[test]
    fn rows_that_do_not_apply_are_listed_by_reason() {
        let text = render(&[column("theirs", Mark::NotApplicable("has none".into()))]);
        assert!(text.contains("\n* – has none: first\n"), "{text}");
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
        assert_eq!(ours, ["ours: first: was ✓, is –"]);
        assert_eq!(others, ["theirs: first: was ✓, is ✗"]);
        // Servers that did not run are not compared.
        let theirs = render(&[column("theirs", Mark::Pass)]);
        assert_eq!(compare(&old, &theirs, "ours"), Differences::default());
    }

    #[test]
    fn new_and_missing_rows_are_named() {
        let whole = render(&[column("ours", Mark::Pass), column("theirs", Mark::Pass)]);
        let shorter: String =
            whole.lines().filter(|row| !row.starts_with("| first |")).map(|row| format!("{row}\n")).collect();
        assert_eq!(compare(&shorter, &whole, "ours").rows, ["new: first"]);
        assert_eq!(compare(&whole, &shorter, "ours").rows, ["gone: first"]);
    }

    #[test]
    fn a_page_without_a_table_has_no_servers() {
        let new = render(&[column("ours", Mark::Pass)]);
        assert_eq!(compare("", &new, "ours").ours, ["ours is new"]);
    }
}
