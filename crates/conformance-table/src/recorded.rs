//! Results that were recorded by hand, of a server that is not installed where the suites run.
//!
//! A recording is a file of lines. The first one has the version, the second one what was measured. The others have a row each: its
//! mark, its name and, unless it has passed, what happened instead.

use std::{collections::BTreeMap, fmt::Write, fs};

use anyhow::{Context, Result, bail, ensure};
use programs::Workspace;

use crate::{
    mark::Mark,
    page::{self, Column, Page, RowName},
};

/// A recording.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// Where it is, below the root of the workspace.
    pub file: &'static str,
    /// Its server.
    pub title: &'static str,
}

const SEPARATOR: &str = " | ";

impl Recording {
    /// Reads it. Fails unless each row of the page has a mark, and each mark a row.
    pub fn read(&self, workspace: &Workspace, page: &Page<'_>) -> Result<Column> {
        let path = workspace.root().join(self.file);
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        parse(&text, self.title, &page.rows).with_context(|| format!("{} is wrong", self.file))
    }

    /// Writes what a server has just done.
    pub fn write(&self, workspace: &Workspace, page: &Page<'_>, column: &Column) -> Result<()> {
        let path = workspace.root().join(self.file);
        fs::write(&path, text_of(column, &page.rows))
            .with_context(|| format!("could not write {}", path.display()))?;
        println!("written: {}", self.file);
        Ok(())
    }

    /// The rows whose mark on the committed page is another one, with the recorded mark.
    pub fn differences(&self, workspace: &Workspace, page: &Page<'_>) -> Result<Vec<(String, String)>> {
        let recorded = page.render(&[self.read(workspace, page)?]);
        let committed = fs::read_to_string(workspace.root().join(page.file))
            .with_context(|| format!("could not read {}", page.file))?;
        let mut on_page = page::read(&committed);
        let on_page = on_page.remove(self.title).unwrap_or_default();
        let marks = page::read(&recorded).remove(self.title).unwrap_or_default();
        let differ = marks.into_iter().filter(|(row, mark)| on_page.get(row) != Some(mark));
        Ok(differ.map(|(row, mark)| (row.to_owned(), mark.to_owned())).collect())
    }
}

fn text_of(column: &Column, rows: &[RowName]) -> String {
    let mut text = format!("{}\n{}\n", column.version, column.measured.as_deref().unwrap_or_default());
    for (RowName { name, .. }, mark) in rows.iter().zip(&column.marks) {
        // Writing to a string cannot fail.
        let _ = match mark {
            Mark::Pass => writeln!(text, "✓{SEPARATOR}{name}"),
            Mark::Fail(what) | Mark::NotApplicable(what) => {
                writeln!(
                    text,
                    "{}{SEPARATOR}{name}{SEPARATOR}{}",
                    mark.symbol(),
                    what.replace(char::is_control, " ")
                )
            }
        };
    }
    text
}

fn parse(text: &str, title: &'static str, rows: &[RowName]) -> Result<Column> {
    let mut lines = text.lines();
    let version = lines.next().context("no version")?.to_owned();
    let measured = lines.next().filter(|measured| !measured.is_empty()).map(str::to_owned);
    let mut marks = BTreeMap::new();
    for line in lines {
        let mut parts = line.splitn(3, SEPARATOR);
        let (symbol, name, what) = (parts.next(), parts.next(), parts.next());
        let mark = match (symbol, what) {
            (Some("✓"), None) => Mark::Pass,
            (Some("✗"), Some(what)) => Mark::Fail(what.to_owned()),
            (Some("–"), Some(what)) => Mark::NotApplicable(what.to_owned()),
            _ => bail!("no mark: {line}"),
        };
        let name = name.with_context(|| format!("no row: {line}"))?;
        ensure!(marks.insert(name, mark).is_none(), "twice: {name}");
    }
    let take = |row: &RowName| marks.remove(row.name).with_context(|| format!("no mark of: {}", row.name));
    let in_order = rows.iter().map(take).collect::<Result<_>>()?;
    ensure!(marks.is_empty(), "marks without a row: {:?}", marks.keys());
    Ok(Column { title, version, marks: in_order, measured })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [RowName; 3] = [
        RowName { name: "first", rule: "RFC 1" },
        RowName { name: "second", rule: "RFC 2" },
        RowName { name: "third", rule: "RFC 3" },
    ];
    const TEXT: &str = "1.2\nabout 40 ms\n✓ | first\n✗ | second | a |  b\n– | third | has none\n";

    #[test]
    fn what_is_written_is_read_again() {
        let marks = vec![Mark::Pass, Mark::Fail("a |\r\nb".into()), Mark::NotApplicable("has none".into())];
        let column =
            Column { title: "theirs", version: "1.2".into(), marks, measured: Some("about 40 ms".into()) };
        let text = text_of(&column, &ROWS);
        assert_eq!(text, TEXT);
        let again = parse(&text, "theirs", &ROWS).unwrap();
        let marks = [Mark::Pass, Mark::Fail("a |  b".into()), Mark::NotApplicable("has none".into())];
        assert_eq!(again.marks, marks, "each in one line");
        assert_eq!((again.version, again.measured), (column.version, column.measured));
    }

    #[test]
    fn a_recording_has_a_mark_for_each_row_and_no_other() {
        let wrong = |text: &str| match parse(text, "theirs", &ROWS) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(wrong(""), "no version");
        assert_eq!(wrong(&TEXT.replace("✓ | first\n", "")), "no mark of: first");
        assert_eq!(wrong(&format!("{TEXT}✓ | fourth\n")), "marks without a row: [\"fourth\"]");
        assert_eq!(wrong(&format!("{TEXT}✓ | first\n")), "twice: first");
        assert_eq!(wrong(&TEXT.replace("✗", "?")), "no mark: ? | second | a |  b");
        assert_eq!(wrong(&TEXT.replace(" | has none", "")), "no mark: – | third");
    }
}
