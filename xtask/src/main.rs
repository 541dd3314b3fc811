//! The project's chores: `cargo xtask NAME`.
//!
//! `cargo xtask ci` checks a change before it lands. Each of its steps is also a chore of its own, so that the one that failed can
//! be repeated alone. The suites with real routers and servers are programs of their own, which the chores start.

#![forbid(unsafe_code)]

mod cargo_deny;
mod ci;
mod no_std;
mod steps;
mod suites;
mod without_router;

use std::process::ExitCode;

use anyhow::Result;
use pipeline::Chore;
use programs::Workspace;

/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h), the same as that of `i2p-socks`.
const USAGE: u8 = 64;

const CI: Chore = Chore {
    name: "ci",
    description: "run all steps of the list below, some at the same time, until one fails",
    run: |workspace| ci::CI.run(workspace),
};

/// The chores that are not steps of `ci`.
const OTHERS: &[Chore] = &[
    Chore {
        name: "peers",
        description: "compare the instructions of socks-wire with those of other crates (not a step of ci)",
        run: instructions::compare_with_peers,
    },
    Chore {
        name: "recording",
        description: "run the demo on a terminal and draw docs/demo.svg (not a step of ci)",
        run: |workspace| suites::run("recording", workspace),
    },
    Chore {
        name: "soak",
        description: "run clients of every kind for an hour and see whether the proxy grows (not a step of ci; --minutes N)",
        run: |workspace| suites::run("soak", workspace),
    },
];

fn main() -> ExitCode {
    pipeline::stop_with_stdin();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, arguments)) = arguments.split_first() else {
        print!("{}", help());
        return ExitCode::SUCCESS;
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    match (all().find(|chore| chore.name == name), suites::has(name)) {
        (None, _) => usage(&format!("there is no chore {name}")),
        // A suite takes options, which it reads itself.
        (Some(_), true) => finish_suite(name, arguments),
        (Some(chore), false) if arguments.is_empty() => {
            finish(Workspace::of_this_program().and_then(|workspace| (chore.run)(&workspace)))
        }
        (Some(_), false) => usage(&format!("{name} takes no arguments")),
    }
}

fn finish(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a suite and exits with its exit code.
fn finish_suite(name: &str, arguments: &[String]) -> ExitCode {
    match Workspace::of_this_program().and_then(|workspace| suites::status(name, arguments, &workspace)) {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => finish(Err(error)),
    }
}

fn all() -> impl Iterator<Item = Chore> {
    std::iter::once(CI).chain(ci::CI.steps().chain(OTHERS).copied())
}

fn help() -> String {
    let lines =
        all().map(|Chore { name, description, .. }| format!("  cargo xtask {name:17}  {description}\n"));
    std::iter::once("The project's chores:\n".into()).chain(lines).collect()
}

fn usage(problem: &str) -> ExitCode {
    eprint!("error: {problem}\n\n{}", help());
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chore_has_a_name_of_its_own() {
        let mut names: Vec<_> = all().map(|chore| chore.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }
}
