//! `cargo xtask ci`: the steps, their order and the summary.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{Chore, Workspace, bench, conformance, instructions, interop, no_std, steps};

/// Every step, cheap ones first: what a person gets wrong most often is said after seconds, not minutes.
pub(crate) const STEPS: &[Chore] = &[
    Chore {
        name: "tools",
        what: "install the tools that the steps need, pinned, below target/",
        run: steps::tools,
    },
    Chore { name: "fmt", what: "formatting", run: steps::fmt },
    Chore { name: "clippy", what: "lints, with and without the embedded router", run: steps::clippy },
    Chore { name: "doc", what: "documentation, private items included", run: steps::doc },
    Chore { name: "no-std", what: "socks-wire links neither std nor alloc", run: no_std::run },
    Chore { name: "test", what: "all tests, the fuzz corpus included", run: steps::test },
    Chore {
        name: "instructions",
        what: "socks-wire takes no more instructions than are committed",
        run: instructions::run,
    },
    Chore { name: "deny", what: "licences, sources and bans of the dependencies", run: steps::deny },
    Chore {
        name: "install",
        what: "cargo install, with and without the embedded router",
        run: steps::install,
    },
    Chore {
        name: bench::NAME,
        what: "cost beside other proxies; ci takes --short (--write: docs/performance.md; --link: first byte only)",
        run: bench::short,
    },
    Chore {
        name: interop::sam_conformance::NAME,
        what: "the SAM client against real i2pd routers",
        run: interop::sam_conformance::run,
    },
    Chore {
        name: conformance::NAME,
        what: "how our proxy and others behave, byte by byte (--write: docs/conformance.md)",
        run: conformance::run,
    },
    Chore { name: interop::NAME, what: "real i2pd routers, our proxy and curl", run: interop::run },
];

/// Runs the steps up to the first failure.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut taken = Vec::new();
    for step in STEPS {
        println!("\n==> {}: {}", step.name, step.what);
        let start = Instant::now();
        let result = (step.run)(workspace);
        taken.push((step.name, start.elapsed()));
        if result.is_err() {
            print!("{}", summary(&taken, false));
        }
        result.with_context(|| format!("step {0} failed (alone: cargo xtask {0})", step.name))?;
    }
    print!("{}", summary(&taken, true));
    Ok(())
}

/// The durations, and what became of each step: the last one of an unsuccessful run is the one that failed.
fn summary(taken: &[(&str, Duration)], success: bool) -> String {
    let mut text = String::from("\n==> summary\n");
    for (index, (name, duration)) in taken.iter().enumerate() {
        let failed = !success && index + 1 == taken.len();
        let word = if failed { "FAILED" } else { "ok" };
        text += &format!("{name:15} {word:6} {:7.1} s\n", duration.as_secs_f64());
    }
    for step in STEPS.iter().skip(taken.len()) {
        text += &format!("{:15} not run\n", step.name);
    }
    let total: Duration = taken.iter().map(|(_, duration)| duration).sum();
    text + &format!("{:15} {:14.1} s\n", "all", total.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed_and_what_was_not_run() {
        let second = Duration::from_secs(1);
        let text = summary(&[("tools", second), ("fmt", second)], false);
        assert!(
            text.contains("tools           ok         1.0 s\nfmt             FAILED     1.0 s\nclippy          not run\n"),
            "{text}"
        );
        assert!(text.ends_with("all                        2.0 s\n"), "{text}");
        assert!(!summary(&[("tools", second)], true).contains("FAILED"));
    }
}
