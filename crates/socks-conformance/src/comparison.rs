//! Tests that every cell of the README's comparison with other SOCKS ports has a proof.
//!
//! `docs/comparison.md` has a section for each row of the README's table, with a line for each proxy. A line begins with the verdict
//! of the cell and then names its proofs: rows of `docs/conformance.md`, tests, checks of suites on real routers, and recordings on
//! the page itself.

use std::{fs, path::PathBuf};

use conformance_table::page::{self, Marks};
use programs::Workspace;

/// The heading of the README's table.
const TABLE: &str = "| | i2p-socks | i2pd | Java I2P |";
/// The columns of the table, which `docs/conformance.md` has too.
const PROXIES: [&str; 3] = ["i2p-socks", "i2pd", "Java I2P"];
/// How a cell may begin.
const VERDICTS: [&str; 3] = ["yes", "no", "partly"];

/// A row of the README's table.
struct Row<'a> {
    name: &'a str,
    cells: Vec<&'a str>,
}

fn root() -> PathBuf {
    Workspace::of_this_program().unwrap().root().to_path_buf()
}

fn rows(readme: &str) -> Vec<Row<'_>> {
    let lines = readme.lines().skip_while(|line| *line != TABLE).skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    let row = |line| {
        let mut cells = str::trim_matches(line, '|').split('|').map(str::trim);
        Row { name: cells.next().unwrap_or_default(), cells: cells.collect() }
    };
    lines.map(row).collect()
}

/// The verdict with which a cell or a line begins.
fn verdict(text: &str) -> Option<&'static str> {
    VERDICTS.into_iter().find(|verdict| {
        text.strip_prefix(verdict).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// What is wrong with the README's table and the page of its proofs.
fn mistakes(readme: &str, page: &str, marks: &Marks<'_>) -> Vec<String> {
    let mut mistakes = Vec::new();
    let rows = rows(readme);
    if rows.len() < 8 {
        mistakes.push(format!("the README's table has {} rows", rows.len()));
    }
    for Row { name, cells } in rows {
        let heading = format!("\n## {name}\n");
        let section = page.split_once(&heading).map_or("", |(_, rest)| rest);
        let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
        if section.is_empty() {
            mistakes.push(format!("{name}: no section"));
            continue;
        }
        for (proxy, cell) in PROXIES.into_iter().zip(cells) {
            let line = section.lines().find_map(|line| line.strip_prefix(&format!("* {proxy}: ")));
            let wrong = match line {
                None => vec!["no line".to_owned()],
                Some(line) => mistakes_of_line(cell, line, section, marks.get(proxy)),
            };
            mistakes.extend(wrong.into_iter().map(|wrong| format!("{name}, {proxy}: {wrong}")));
        }
    }
    mistakes
}

/// What is wrong with the proofs of a cell.
fn mistakes_of_line(
    cell: &str,
    line: &str,
    section: &str,
    marks: Option<&std::collections::BTreeMap<&str, &str>>,
) -> Vec<String> {
    let Some(verdict) = verdict(cell).filter(|verdict| line.starts_with(verdict)) else {
        return vec![format!("the README says {cell:?}, and the page {line:?}")];
    };
    let mut mistakes = Vec::new();
    let mut seen = Vec::new();
    let mut proofs = 0;
    for (kind, proof) in line.split("; ").filter_map(proof_of) {
        proofs += 1;
        match kind {
            "row" => match marks.and_then(|marks| marks.get(proof)) {
                Some(mark) => seen.push(*mark),
                None => mistakes.push(format!("no such row: {proof}")),
            },
            "test" if !has_test(proof) => mistakes.push(format!("no such test: {proof}")),
            "check" if !has_check(proof) => mistakes.push(format!("no such check: {proof}")),
            "recording" if !section.contains(&format!("\n### {proof}\n")) => {
                mistakes.push(format!("no such recording: {proof}"));
            }
            _ => {}
        }
    }
    if proofs == 0 {
        mistakes.push("no proof".into());
    }
    let fits = match verdict {
        "yes" => seen.iter().all(|mark| *mark == "✓"),
        "no" => seen.iter().all(|mark| *mark == "✗"),
        _ => seen.is_empty() || (seen.contains(&"✓") && seen.contains(&"✗")),
    };
    if !fits {
        mistakes.push(format!("{verdict}, and the rows are {seen:?}"));
    }
    mistakes
}

/// Splits `KIND PROOF`, where the proof stands in backquotes.
fn proof_of(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once(" `")?;
    let kind = before.rsplit([' ', '(']).next()?;
    let (proof, _) = rest.rsplit_once('`')?;
    ["row", "test", "check", "recording"].contains(&kind).then_some((kind, proof))
}

/// Whether `FILE NAME` is a test.
fn has_test(proof: &str) -> bool {
    let Some((file, name)) = proof.split_once(' ') else { return false };
    let code = fs::read_to_string(root().join(file)).unwrap_or_default();
    let declared =
        |line: &str| line.trim_start().trim_start_matches("async ").starts_with(&format!("fn {name}("));
    let lines: Vec<_> = code.lines().collect();
    let at = lines.iter().position(|line| declared(line));
    at.is_some_and(|at| lines.iter().take(at).rev().take(3).any(|line| line.contains("test]")))
}

/// Whether `FILE TEXT` is a check of a suite: the text stands in the file, in quotes.
fn has_check(proof: &str) -> bool {
    let Some((file, text)) = proof.split_once(' ') else { return false };
    let code = fs::read_to_string(root().join(file)).unwrap_or_default();
    code.contains(&format!("\"{text}\""))
}

#[test]
fn every_cell_of_the_readme_has_a_proof() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let conformance = read("docs/conformance.md");
    let mistakes = mistakes(&read("README.md"), &read("docs/comparison.md"), &page::read(&conformance));
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn a_proof_that_is_gone_or_says_the_opposite_is_found() {
    let marks = Marks::from([("i2pd", [("works", "✓"), ("fails", "✗")].into())]);
    let wrong = |cell: &str, line: &str| mistakes_of_line(cell, line, "\n### a\n", marks.get("i2pd"));
    let test = "crates/socks-conformance/src/comparison.rs every_cell_of_the_readme_has_a_proof";
    let right = [
        ("yes, always", "yes: row `works`".to_owned()),
        ("no", "no: row `fails`; recording `a`".to_owned()),
        ("partly", "partly: row `works`; row `fails`".to_owned()),
        ("partly", "partly: recording `a`".to_owned()),
        ("yes", format!("yes: test `{test}`")),
        ("yes", "yes: check `crates/interop/src/checks.rs the first page`".to_owned()),
    ];
    for (cell, line) in right {
        assert_eq!(wrong(cell, &line), Vec::<String>::new(), "{line}");
    }
    for (cell, line, mistake) in [
        ("no", "yes: row `works`", "the README says"),
        ("never", "never: row `works`", "the README says"),
        ("yes", "yes: row `gone`", "no such row"),
        ("yes", "yes: row `fails`", "the rows are"),
        ("no", "no: row `works`", "the rows are"),
        ("partly", "partly: row `works`", "the rows are"),
        ("yes", "yes: test `crates/socks-conformance/src/comparison.rs has_test`", "no such test"),
        ("yes", "yes: check `crates/interop/src/checks.rs no such check`", "no such check"),
        ("no", "no: recording `b`", "no such recording"),
        ("no", "no", "no proof"),
    ] {
        let found = wrong(cell, line);
        assert!(found.iter().any(|found| found.contains(mistake)), "{line}: {found:?}");
    }
}
