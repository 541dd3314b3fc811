//! `cargo xtask instructions`: what the work of `socks-wire`'s benches costs in instructions, against what was committed.
//!
//! Time on a shared machine is noise. The number of instructions is the same in each run of one program, so that a
//! change can be told from chance, and CI can refuse it. valgrind counts them.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use programs::{Invocation, Program, Workspace, install_missing};

const VALGRIND: Program = ("valgrind", "valgrind");
/// Counts that were committed, of this architecture.
const COMMITTED: &str = "crates/socks-wire/benches/instructions.txt";
const ARCHITECTURE: &str = "x86_64";
/// Per cent by which a count may pass the committed one, with the compiler that the committed ones were counted with.
const TOLERANCE: u64 = 5;
/// The same with another compiler, which makes other code: that is not to fail CI, as no one of us did it.
const OTHER_COMPILER: u64 = 25;
/// What is before the compiler's version in the file of committed counts.
const COUNTED_WITH: &str = "# Counted with: ";
/// By how much the peers have to be slower at least.
const FACTOR: u64 = 5;
/// The work is done so many times and then so many more: the difference leaves out how the program starts and ends.
const FIRST: u64 = 100;
const MORE: u64 = 1000;

/// A work's name and the instructions that it takes.
type Count = (String, u64);

/// Counts, and compares with what was committed.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let bench = Invocation::typed("cargo bench -p socks-wire --bench wire --locked --", workspace.root());
    let counts = count(workspace, bench)?;
    if std::env::consts::ARCH != ARCHITECTURE {
        counts.iter().for_each(|(work, count)| println!("{work:34} {count:6}"));
        println!("nothing to compare with: the committed counts are of {ARCHITECTURE}");
        return Ok(());
    }
    let path = workspace.root().join(COMMITTED);
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let committed = parse(&text).with_context(|| format!("{COMMITTED} is malformed"))?;
    let compiler = Invocation::new("rustc", workspace.root()).arg("--version").output()?;
    let (tolerance, why) = tolerance(&text, &version(&compiler))?;
    let (table, problems) = compare(&counts, &committed, tolerance);
    println!("{table}\n{why}");
    if problems.is_empty() {
        return Ok(());
    }
    let lines: String = counts.iter().map(|(work, count)| format!("{work} {count}\n")).collect();
    let counted_with = format!("{COUNTED_WITH}{}", version(&compiler));
    bail!(
        "{}\n\nwhere that is meant to be, {COMMITTED} becomes:\n\n{counted_with}\n{lines}",
        problems.join("\n")
    )
}

/// Counts the handshake of `socks-wire` and of other crates, which have to take [`FACTOR`] times as many instructions.
pub(crate) fn peers(workspace: &Workspace) -> Result<()> {
    let manifest = "crates/socks-wire/benches/peers/Cargo.toml";
    let bench = Invocation::typed(
        &format!("cargo bench --manifest-path {manifest} --bench handshake --locked --"),
        workspace.root(),
    );
    let counts = count(workspace, bench)?;
    let [(_, ours), peers @ ..] = counts.as_slice() else { bail!("the bench has no work") };
    ensure!(!peers.is_empty(), "the bench has no peers");
    println!("{:34} {ours:6}", "socks-wire");
    for (peer, count) in peers {
        let tenths = count * 10 / ours;
        println!("{peer:34} {count:6}  {}.{} times", tenths / 10, tenths % 10);
    }
    let close = peers.iter().find(|(_, count)| *count < FACTOR * ours);
    ensure!(close.is_none(), "a peer takes less than {FACTOR} times as many: {close:?}");
    Ok(())
}

/// Builds a bench and counts the instructions of each work that it lists.
fn count(workspace: &Workspace, bench: Invocation) -> Result<Vec<Count>> {
    install_missing(&[VALGRIND], workspace)?;
    let bench = bench.arg("count");
    println!("$ {bench}");
    let listed = bench.output()?;
    let mut lines = listed.lines();
    let program = lines
        .next()
        .and_then(|line| line.strip_prefix("program "))
        .context("the bench does not say where it is")?;
    let works: Vec<&str> = lines.filter_map(|line| line.strip_prefix("work ")).collect();
    ensure!(!works.is_empty(), "the bench lists no work");
    println!(
        "$ {}    # and so on",
        counted(Path::new(program), works.first().copied().unwrap_or_default(), FIRST)
    );
    let count = |work: &&str| {
        let [less, more] =
            [FIRST, FIRST + MORE].map(|rounds| collected(&counted(Path::new(program), work, rounds)));
        let difference = more?.checked_sub(less?).context("more work took fewer instructions")?;
        Ok((work.to_string(), (difference + MORE / 2) / MORE))
    };
    works.iter().map(count).collect()
}

/// The command line that counts.
fn counted(program: &Path, work: &str, rounds: u64) -> Invocation {
    Invocation::typed("valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-fd=1", Path::new("/"))
        .arg(program)
        .arg("count")
        .arg(work)
        .arg(rounds.to_string())
}

/// Runs it and gives the instructions of the whole program.
fn collected(run: &Invocation) -> Result<u64> {
    let log = run.output()?;
    let number =
        log.lines().find_map(|line| line.split_once("Collected : ").map(|(_, number)| number.trim()));
    let number = number.with_context(|| format!("{run} counted nothing:\n{log}"))?;
    number.parse().with_context(|| format!("{run} counted {number:?}"))
}

/// The committed counts: a work and its count on each line, comments behind `#`.
fn parse(text: &str) -> Result<Vec<Count>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (work, count) = line.split_once(' ').with_context(|| format!("no count: {line:?}"))?;
            let count = count.trim().parse().with_context(|| format!("not a number: {line:?}"))?;
            Ok((work.to_owned(), count))
        })
        .collect()
}

/// `rustc 1.95.0` of what `rustc --version` says.
fn version(compiler: &str) -> String {
    compiler.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Per cent that counts may differ by with this compiler, and a sentence on why.
fn tolerance(text: &str, compiler: &str) -> Result<(u64, String)> {
    let committed = text.lines().find_map(|line| line.strip_prefix(COUNTED_WITH)).map(str::trim);
    let committed = committed.with_context(|| format!("{COMMITTED} does not say {COUNTED_WITH:?}"))?;
    Ok(if committed == compiler {
        (TOLERANCE, format!("The limit is {TOLERANCE} % above what was committed, with the same {compiler}."))
    } else {
        (
            OTHER_COMPILER,
            format!(
                "This is {compiler}, and what was committed is of {committed}: the limit is {OTHER_COMPILER} % instead \
                 of {TOLERANCE}. Count again with this compiler, on a commit that changes nothing else, to have that back."
            ),
        )
    })
}

/// A table, and what is wrong.
fn compare(counts: &[Count], committed: &[Count], tolerance: u64) -> (String, Vec<String>) {
    let mut table = format!("{:34} {:>6} {:>9} {:>6}\n", "instructions", "now", "committed", "limit");
    let mut problems = Vec::new();
    for (work, count) in counts {
        let Some((_, before)) = committed.iter().find(|(name, _)| name == work) else {
            problems.push(format!("{work} has no committed count"));
            continue;
        };
        let limit = before * (100 + tolerance) / 100;
        table += &format!("{work:34} {count:6} {before:9} {limit:6}\n");
        if *count > limit {
            problems.push(format!("{work} takes {count} instructions; the limit is {limit}"));
        }
    }
    for (work, _) in committed {
        if !counts.iter().any(|(name, _)| name == work) {
            problems.push(format!("{work} is committed and no work is called so"));
        }
    }
    (table, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> Vec<Count> {
        counts.iter().map(|&(work, count)| (work.to_owned(), count)).collect()
    }

    #[test]
    fn a_count_may_pass_the_committed_one_by_the_tolerance() {
        let committed = parse("# x86_64\n\nparse 100\nhandshake 401\n").unwrap();
        let problems = |now: &[(&str, u64)]| compare(&counts(now), &committed, 5).1;
        assert_eq!(problems(&[("parse", 105), ("handshake", 421)]), Vec::<String>::new());
        assert_eq!(problems(&[("parse", 1), ("handshake", 1)]), Vec::<String>::new());
        assert_eq!(
            problems(&[("parse", 106), ("handshake", 422)]),
            [
                "parse takes 106 instructions; the limit is 105",
                "handshake takes 422 instructions; the limit is 421"
            ]
        );
    }

    #[test]
    fn the_limit_is_close_for_the_compiler_that_counted_and_only_for_it() {
        let text = "# Of x86_64.\n# Counted with: rustc 1.95.0\nparse 100\n";
        assert_eq!(tolerance(text, "rustc 1.95.0").unwrap().0, TOLERANCE);
        let (wide, why) = tolerance(text, "rustc 1.96.0").unwrap();
        assert_eq!(wide, OTHER_COMPILER);
        assert!(why.starts_with("This is rustc 1.96.0, and what was committed is of rustc 1.95.0:"), "{why}");
        assert!(tolerance("parse 100\n", "rustc 1.95.0").is_err());
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)\n"), "rustc 1.95.0");
    }

    #[test]
    fn nothing_is_counted_without_a_limit_or_limited_without_a_count() {
        let (_, problems) = compare(&counts(&[("new", 1)]), &counts(&[("old", 1)]), TOLERANCE);
        assert_eq!(problems, ["new has no committed count", "old is committed and no work is called so"]);
    }

    #[test]
    fn a_malformed_line_is_named() {
        for (text, error) in
            [("parse\n", "no count: \"parse\""), ("parse many\n", "not a number: \"parse many\"")]
        {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }
}
