//! `cargo xtask ci`: its steps, their order and the summary.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use programs::Workspace;

use crate::{Chore, instructions, no_std, steps, suites};

/// All steps, the fast ones first, so that the most frequent mistakes are found after seconds.
pub(crate) const STEPS: &[Chore] = &[
    Chore {
        name: "tools",
        description: "install the tools that the steps need below target/, in fixed versions",
        run: steps::tools,
    },
    Chore { name: "fmt", description: "check the formatting", run: steps::fmt },
    Chore {
        name: "clippy",
        description: "check the lints, with and without the embedded router",
        run: steps::clippy,
    },
    Chore { name: "doc", description: "build the documentation, also of private items", run: steps::doc },
    Chore {
        name: "no-std",
        description: "check that socks-wire links neither std nor alloc",
        run: no_std::run,
    },
    Chore { name: "test", description: "run all tests, also on the fuzz corpus", run: steps::test },
    Chore {
        name: "instructions",
        description: "check that socks-wire needs no more instructions than the committed counts",
        run: instructions::run,
    },
    Chore {
        name: "deny",
        description: "check the licences and sources of the dependencies",
        run: steps::deny,
    },
    Chore {
        name: "install",
        description: "run cargo install, with and without the embedded router",
        run: steps::install,
    },
    Chore {
        name: "bench",
        description: "measure the cost beside other proxies (ci: --short; --write: docs/performance.md; --link: first byte only)",
        run: suites::run_short_bench,
    },
    Chore {
        name: "sam-conformance",
        description: "test the SAM client with real i2pd routers",
        run: |workspace| suites::run("sam-conformance", workspace),
    },
    Chore {
        name: "conformance",
        description: "test our proxy and others byte by byte (--write: docs/conformance.md)",
        run: |workspace| suites::run("conformance", workspace),
    },
    Chore {
        name: "interop",
        description: "test our proxy with real i2pd routers and real clients",
        run: |workspace| suites::run("interop", workspace),
    },
];

/// Runs the steps until one fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut taken = Vec::new();
    for step in STEPS {
        println!("\n==> {}: {}", step.name, step.description);
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

/// The duration and outcome of each step. If the run has failed, the last step is the one that failed.
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
    fn the_summary_names_the_failed_step_and_those_that_did_not_run() {
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
