//! Counts the instructions of `socks-wire`'s benchmarks, and compares them with the committed counts or with other crates.
//!
//! Time on a shared machine is noise. The number of instructions is the same in each run of a program, so that CI can refuse a
//! change that needs more. valgrind counts them.

#![forbid(unsafe_code)]

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use programs::{Invocation, Program, Workspace, install_missing};

const VALGRIND: Program = ("valgrind", "valgrind");
/// The committed counts, which are those of this architecture.
const COMMITTED_FILE: &str = "crates/socks-wire/benches/instructions.txt";
const ARCHITECTURE: &str = "x86_64";
/// How many per cent a count may exceed the committed one, with the same compiler.
const TOLERANCE_PERCENT: u64 = 5;
/// The same with another compiler. It generates other code, which should not fail CI, since no change of ours did that.
const OTHER_COMPILER_TOLERANCE_PERCENT: u64 = 25;
/// The text before the version of the compiler in the file of committed counts.
const COUNTED_WITH: &str = "# Counted with: ";
/// The peers must need at least this many times as many instructions.
const MIN_PEER_FACTOR: u64 = 5;
/// Each work runs this many rounds, and then [`MORE_ROUNDS`] more. The difference leaves out the start and the end of the program.
const FIRST_ROUNDS: u64 = 100;
const MORE_ROUNDS: u64 = 1000;

/// The name of a work and its number of instructions.
type Count = (String, u64);

/// Counts, and compares with the committed counts.
///
/// # Errors
/// A count exceeds the committed one by more than the tolerance, or nothing could be counted.
pub fn compare_with_committed(workspace: &Workspace) -> Result<()> {
    let program = Invocation::typed("cargo run --release -p instructions --locked --", workspace.root());
    let counts = count(workspace, program)?;
    if std::env::consts::ARCH != ARCHITECTURE {
        counts.iter().for_each(|(work, count)| println!("{work:34} {count:6}"));
        println!("not compared: the committed counts are those of {ARCHITECTURE}");
        return Ok(());
    }
    let path = workspace.root().join(COMMITTED_FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let committed = parse(&text).with_context(|| format!("{COMMITTED_FILE} is malformed"))?;
    let compiler = Invocation::new("rustc", workspace.root()).arg("--version").output()?;
    let (tolerance, reason) = tolerance(&text, &version(&compiler))?;
    let (table, problems) = compare(&counts, &committed, tolerance);
    println!("{table}\n{reason}");
    if problems.is_empty() {
        return Ok(());
    }
    let lines: String = counts.iter().map(|(work, count)| format!("{work} {count}\n")).collect();
    let counted_with = format!("{COUNTED_WITH}{}", version(&compiler));
    bail!(
        "{}\n\nif that is intended, {COMMITTED_FILE} becomes:\n\n{counted_with}\n{lines}",
        problems.join("\n")
    )
}

/// Counts the handshake of `socks-wire` and of other crates, which must need 5 times as many instructions.
///
/// # Errors
/// A peer needs fewer, or nothing could be counted.
pub fn compare_with_peers(workspace: &Workspace) -> Result<()> {
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
    let close = peers.iter().find(|(_, count)| *count < MIN_PEER_FACTOR * ours);
    ensure!(close.is_none(), "a peer needs less than {MIN_PEER_FACTOR} times as many: {close:?}");
    Ok(())
}

/// Builds a program and counts the instructions of each work that it lists.
fn count(workspace: &Workspace, program: Invocation) -> Result<Vec<Count>> {
    install_missing(&[VALGRIND], workspace)?;
    let list = program.arg("count");
    println!("$ {list}");
    let listed = list.output()?;
    let mut lines = listed.lines();
    let program = lines
        .next()
        .and_then(|line| line.strip_prefix("program "))
        .context("the program does not print its path")?;
    let works: Vec<&str> = lines.filter_map(|line| line.strip_prefix("work ")).collect();
    ensure!(!works.is_empty(), "the program lists no work");
    println!(
        "$ {}    # and so on",
        counting(Path::new(program), works.first().copied().unwrap_or_default(), FIRST_ROUNDS)
    );
    let count = |work: &&str| {
        let [less, more] = [FIRST_ROUNDS, FIRST_ROUNDS + MORE_ROUNDS]
            .map(|rounds| run_counting(&counting(Path::new(program), work, rounds)));
        let difference = more?.checked_sub(less?).context("more rounds needed fewer instructions")?;
        Ok((work.to_string(), (difference + MORE_ROUNDS / 2) / MORE_ROUNDS))
    };
    works.iter().map(count).collect()
}

/// The command line that counts.
fn counting(program: &Path, work: &str, rounds: u64) -> Invocation {
    Invocation::typed("valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-fd=1", Path::new("/"))
        .arg(program)
        .arg("count")
        .arg(work)
        .arg(rounds.to_string())
}

/// Runs it and returns the instructions of the whole program.
fn run_counting(run: &Invocation) -> Result<u64> {
    let log = run.output()?;
    let number =
        log.lines().find_map(|line| line.split_once("Collected : ").map(|(_, number)| number.trim()));
    let number = number.with_context(|| format!("{run} counted nothing:\n{log}"))?;
    number.parse().with_context(|| format!("{run} counted {number:?}"))
}

/// Parses the committed counts: a work and its count in each line, and comments after `#`.
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

/// Shortens the output of `rustc --version` to, for example, `rustc 1.95.0`.
fn version(compiler: &str) -> String {
    compiler.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// The tolerance in per cent with this compiler, and a sentence with the reason.
fn tolerance(text: &str, compiler: &str) -> Result<(u64, String)> {
    let committed = text.lines().find_map(|line| line.strip_prefix(COUNTED_WITH)).map(str::trim);
    let committed = committed.with_context(|| format!("{COMMITTED_FILE} has no line {COUNTED_WITH:?}"))?;
    Ok(if committed == compiler {
        (
            TOLERANCE_PERCENT,
            format!(
                "The limit is {TOLERANCE_PERCENT} % above the committed counts, with the same {compiler}."
            ),
        )
    } else {
        (
            OTHER_COMPILER_TOLERANCE_PERCENT,
            format!(
                "This is {compiler}, and the committed counts are those of {committed}: the limit is \
                 {OTHER_COMPILER_TOLERANCE_PERCENT} % instead of {TOLERANCE_PERCENT}. To return to that, count again with this \
                 compiler, in a commit that changes nothing else."
            ),
        )
    })
}

/// Makes a table, and lists the problems.
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
            problems.push(format!("{work} needs {count} instructions; the limit is {limit}"));
        }
    }
    for (work, _) in committed {
        if !counts.iter().any(|(name, _)| name == work) {
            problems.push(format!("{work} has a committed count, but there is no such work"));
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
    fn a_count_may_exceed_the_committed_one_by_the_tolerance() {
        let committed = parse("# x86_64\n\nparse 100\nhandshake 401\n").unwrap();
        let problems = |now: &[(&str, u64)]| compare(&counts(now), &committed, 5).1;
        assert_eq!(problems(&[("parse", 105), ("handshake", 421)]), Vec::<String>::new());
        assert_eq!(problems(&[("parse", 1), ("handshake", 1)]), Vec::<String>::new());
        assert_eq!(
            problems(&[("parse", 106), ("handshake", 422)]),
            [
                "parse needs 106 instructions; the limit is 105",
                "handshake needs 422 instructions; the limit is 421"
            ]
        );
    }

    #[test]
    fn the_limit_is_wider_for_another_compiler() {
        let text = "# Of x86_64.\n# Counted with: rustc 1.95.0\nparse 100\n";
        assert_eq!(tolerance(text, "rustc 1.95.0").unwrap().0, TOLERANCE_PERCENT);
        let (wide, reason) = tolerance(text, "rustc 1.96.0").unwrap();
        assert_eq!(wide, OTHER_COMPILER_TOLERANCE_PERCENT);
        assert!(
            reason.starts_with("This is rustc 1.96.0, and the committed counts are those of rustc 1.95.0:"),
            "{reason}"
        );
        assert!(tolerance("parse 100\n", "rustc 1.95.0").is_err());
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)\n"), "rustc 1.95.0");
    }

    #[test]
    fn every_work_needs_a_committed_count_and_the_other_way_round() {
        let (_, problems) = compare(&counts(&[("new", 1)]), &counts(&[("old", 1)]), TOLERANCE_PERCENT);
        assert_eq!(
            problems,
            ["new has no committed count", "old has a committed count, but there is no such work"]
        );
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
