//! Fails a suite if our server does not pass, or if the page is out of date.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use programs::Workspace;

use crate::{
    page::{self, Column, Differences, Page},
    recorded::Recording,
};

/// The option of a suite that writes the page instead of comparing it.
pub const WRITE: &str = "--write";

/// What a suite says when something is wrong.
pub struct Advice<'a> {
    /// The name of the suite as a chore.
    pub suite: &'a str,
    /// Where to mend what does not pass.
    pub mend: &'a str,
}

/// Prints the page, with the recorded column, and writes or compares it. Fails if our server does not pass. If the server of the
/// recording was the only one, its column is recorded instead.
pub fn judge(
    workspace: &Workspace,
    (page, recording): (&Page<'_>, &Recording),
    mut columns: Vec<Column>,
    write: bool,
    advice: &Advice<'_>,
) -> Result<()> {
    if let [column] = columns.as_slice()
        && column.title == recording.title
    {
        return recording.write(workspace, page, column);
    }
    columns.push(recording.read(workspace, page)?);
    let new = page.render(&columns);
    println!("{new}");
    let ours = columns.iter().find(|column| column.title == page.ours);
    let failed: Vec<_> = ours.into_iter().flat_map(|ours| page.failures(ours)).collect();
    if !failed.is_empty() {
        let lines: String = failed
            .iter()
            .map(|(row, failure)| format!("\n  {} ({}): {failure}", row.name, row.rule))
            .collect();
        bail!("i2p-socks does not pass; fix it ({}):{lines}", advice.mend);
    }
    let path = workspace.root().join(page.file);
    if write {
        fs::write(&path, new).with_context(|| format!("could not write {}", path.display()))?;
        println!("written: {}", page.file);
        return Ok(());
    }
    let committed =
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    compare(page, &committed, &new, ours.is_some(), advice)
}

fn compare(page: &Page<'_>, committed: &str, new: &str, has_ours: bool, advice: &Advice<'_>) -> Result<()> {
    let Differences { mut rows, ours, others } = page::compare(committed, new, page.ours);
    let lines = |of: &[String]| of.iter().map(|line| format!("\n  {line}")).collect::<String>();
    if !others.is_empty() {
        println!("differs from {}; another version, or another machine?{}", page.file, lines(&others));
    }
    rows.extend(ours);
    ensure!(
        rows.is_empty(),
        "differs from {}; if the change is right, write it again with cargo xtask {} {WRITE}:{}",
        page.file,
        advice.suite,
        lines(&rows)
    );
    match has_ours {
        true => println!("i2p-socks behaves as {} says", page.file),
        false => println!("{} has the same rows", page.file),
    }
    Ok(())
}
