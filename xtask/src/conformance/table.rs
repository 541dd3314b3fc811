//! `docs/conformance.md`: how it is written and how it is read again.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::rows::{self, Row};

/// Where it is, below the workspace's root.
pub(crate) const FILE: &str = "docs/conformance.md";

/// How a subject did in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    /// What came instead.
    Fail(String),
    /// Why the row says nothing of the subject.
    NotApplicable(String),
}

impl Outcome {
    fn mark(&self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Fail(_) => "✗",
            Self::NotApplicable(_) => "–",
        }
    }
}

/// A subject's results, one for each row.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) version: String,
    pub(crate) outcomes: Vec<Outcome>,
    /// From the reply to the far end's first bytes.
    pub(crate) first_byte: Option<Duration>,
}

impl Column {
    /// The rows that failed, and what came instead.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static Row, &str)> {
        rows::all().zip(&self.outcomes).filter_map(|(row, outcome)| match outcome {
            Outcome::Fail(what) => Some((row, what.as_str())),
            _ => None,
        })
    }

    /// How many rows passed, failed, and did neither.
    fn counts(&self) -> [usize; 3] {
        ["✓", "✗", "–"].map(|mark| self.outcomes.iter().filter(|outcome| outcome.mark() == mark).count())
    }
}

const INTRODUCTION: &str = "\
# How SOCKS servers behave

Written by `cargo xtask conformance --write`; do not edit. `cargo xtask conformance` runs the suite again and compares, as
`cargo xtask ci` does: it fails when a row is new or gone, or when ours has another mark than here, and only says so when
another server has, since its version may be another one.
`SOCKS_CONFORMANCE_SUBJECT` (`ours`, `microsocks`, `dante`, `i2pd`) chooses one server.

Each row is a conversation in raw bytes (`xtask/src/conformance/rows/`). All servers run on one machine in a network
namespace that nothing leaves. What they are asked to connect to are the same servers on loopback: microsocks and Dante dial
them and ask a name server of the suite for their name; i2p-socks has the project's test SAM bridge behind it; i2pd has a
private network of two routers with tunnels of no hops, so that its last rows, on what comes behind the reply, show both of
them.

✓ does it; ✗ does not, and what it does instead stands below the table; – cannot be asked, and why stands there too. A ✗ is
not always a fault: the second column says who asks for it, and where no RFC does, it is practice.

";

/// The whole file.
pub(crate) fn render(columns: &[Column]) -> String {
    let mut text = String::from(INTRODUCTION);
    text += "| server | version | ✓ | ✗ | – | first bytes behind the reply |\n|---|---|--:|--:|--:|---|\n";
    for column in columns {
        let [passed, failed, other] = column.counts();
        let first_byte = column.first_byte.map_or("not measured".into(), roughly);
        let Column { title, version, .. } = column;
        line(
            &mut text,
            format_args!("| {title} | {version} | {passed} | {failed} | {other} | {first_byte} |"),
        );
    }
    text += "\nThe last column is measured and not judged: a reply and the far end's first bytes are two small packets, and a \
             server\nthat leaves Nagle's algorithm on holds the second back until the client acknowledges the first, about \
             40 ms later.\n\n";
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

/// A time that does not change with every run.
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
        let marks = columns.iter().filter_map(|column| column.outcomes.get(index)).map(Outcome::mark);
        let marks: String = marks.map(|mark| format!(" {mark} |")).collect();
        line(text, format_args!("| {name} | {rule} |{marks}"));
    }
}

fn notes(text: &mut String, column: &Column) {
    let [_, failed, other] = column.counts();
    if failed + other > 0 {
        line(text, format_args!("\n## {}\n", column.title));
    }
    for (row, what) in column.failures() {
        line(text, format_args!("* ✗ {}: {what}", row.name));
    }
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for (row, outcome) in rows::all().zip(&column.outcomes) {
        if let Outcome::NotApplicable(reason) = outcome {
            reasons.entry(reason).or_default().push(row.name);
        }
    }
    for (reason, names) in reasons {
        line(text, format_args!("* – {reason}: {}", names.join("; ")));
    }
}

/// The marks of a file: by the server's title, then by the row's name.
type Marks<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

fn read(text: &str) -> Marks<'_> {
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

/// What differs between the committed file and a new one, of the servers that both have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Rows that only one of them has.
    pub(crate) rows: Vec<String>,
    /// Marks of ours that are other ones now: also a row that no longer applies.
    pub(crate) ours: Vec<String>,
    /// Marks of others that are other ones now.
    pub(crate) others: Vec<String>,
}

/// Compares the committed file with a new one, where our server has this title. Wording does not count.
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

    fn column(title: &'static str, first: Outcome) -> Column {
        let mut outcomes: Vec<_> = rows::all().map(|_| Outcome::Pass).collect();
        outcomes[0] = first;
        Column { title, version: "1".into(), outcomes, first_byte: Some(Duration::from_millis(42)) }
    }

    fn first_row() -> &'static str {
        rows::all().next().unwrap().name
    }

    #[test]
    fn marks_and_what_they_mean() {
        let failed = column("theirs", Outcome::Fail("came late".into()));
        let text = render(&[column("ours", Outcome::Pass), failed]);
        let rest = rows::all().count() - 1;
        assert!(text.contains(&format!("| ours | 1 | {} | 0 | 0 | about 40 ms |\n", rest + 1)), "{text}");
        assert!(text.contains(&format!("| theirs | 1 | {rest} | 1 | 0 | about 40 ms |\n")), "{text}");
        assert!(text.contains(&format!("| {} | ", first_row())) && text.contains(" | ✓ | ✗ |\n"), "{text}");
        assert!(text.contains(&format!("\n## theirs\n\n* ✗ {}: came late\n", first_row())), "{text}");
        assert!(!text.contains("## ours"));
    }

    #[test]
    fn rows_that_do_not_apply_are_listed_by_reason() {
        let text = render(&[column("theirs", Outcome::NotApplicable("has none".into()))]);
        assert!(text.contains(&format!("\n* – has none: {}\n", first_row())), "{text}");
    }

    #[test]
    fn equal_marks_are_no_difference() {
        let fail = |what: &str| render(&[column("theirs", Outcome::Fail(what.into()))]);
        assert_eq!(compare(&fail("one way"), &fail("another way"), "ours"), Differences::default());
    }

    #[test]
    fn another_mark_is_named_and_ours_apart() {
        let old = render(&[column("ours", Outcome::Pass), column("theirs", Outcome::Pass)]);
        let gone = Outcome::NotApplicable("y".into());
        let new = render(&[column("ours", gone), column("theirs", Outcome::Fail("x".into()))]);
        let Differences { rows, ours, others } = compare(&old, &new, "ours");
        assert!(rows.is_empty());
        assert_eq!(ours, [format!("ours: {}: was ✓, is –", first_row())]);
        assert_eq!(others, [format!("theirs: {}: was ✓, is ✗", first_row())]);
        // Of servers that did not run this time, nothing is said.
        let theirs = render(&[column("theirs", Outcome::Pass)]);
        assert_eq!(compare(&old, &theirs, "ours"), Differences::default());
    }

    #[test]
    fn rows_that_are_new_or_gone_are_named() {
        let whole = render(&[column("ours", Outcome::Pass), column("theirs", Outcome::Pass)]);
        let line = format!("| {} |", first_row());
        let shorter: String =
            whole.lines().filter(|row| !row.starts_with(&line)).map(|row| format!("{row}\n")).collect();
        assert_eq!(compare(&shorter, &whole, "ours").rows, [format!("new: {}", first_row())]);
        assert_eq!(compare(&whole, &shorter, "ours").rows, [format!("gone: {}", first_row())]);
    }

    #[test]
    fn a_file_without_a_table_has_no_servers() {
        let new = render(&[column("ours", Outcome::Pass)]);
        assert_eq!(compare("", &new, "ours").ours, ["ours is new"]);
    }
}
