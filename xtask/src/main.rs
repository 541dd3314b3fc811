//! The project's own chores, run as `cargo xtask NAME`.
//!
//! `cargo xtask ci` is all that stands between a change and the main branch; every step of it is a chore of its
//! own, so that the one that failed can be run again alone. Steps run the tools as a person would type them.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod conformance;
mod instructions;
mod interop;
mod invocation;
mod lab;
mod no_std;
mod programs;
mod soak;
mod steps;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    lab::{crash, namespace::INSIDE},
    workspace::Workspace,
};

/// Exit code of a command line that makes no sense (`EX_USAGE` of sysexits.h), as `i2p-socks` has it.
const USAGE: u8 = 64;

/// One thing that `cargo xtask` can do.
#[derive(Clone, Copy)]
struct Chore {
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

const CI: Chore =
    Chore { name: "ci", what: "every step below, in this order, up to the first failure", run: ci::run };

/// What `ci` leaves out.
const ALONE: &[Chore] = &[
    Chore {
        name: "peers",
        what: "instructions of socks-wire beside other crates, which it builds for that (not a step of ci)",
        run: instructions::peers,
    },
    Chore {
        name: soak::NAME,
        what: "an hour, or --minutes N, of clients of every kind: does the proxy grow? (not a step of ci)",
        run: |workspace| soak::run(workspace, soak::USUAL),
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let chore = match arguments.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{}", list());
            return ExitCode::SUCCESS;
        }
        [interop::NAME, INSIDE] => Chore { run: interop::inside, ..CI },
        [interop::sam_conformance::NAME, INSIDE] => Chore { run: interop::sam_conformance::inside, ..CI },
        [conformance::NAME, INSIDE] => Chore { run: |workspace| conformance::inside(workspace, false), ..CI },
        [conformance::NAME, INSIDE, conformance::WRITE] => {
            Chore { run: |workspace| conformance::inside(workspace, true), ..CI }
        }
        [conformance::NAME, conformance::WRITE] => Chore { run: conformance::write, ..CI },
        [bench::NAME, arguments @ ..] => match bench::chore(arguments) {
            Some(run) => Chore { run, ..CI },
            None => return usage("bench takes --short, --link or --write, or nothing"),
        },
        [soak::NAME, arguments @ ..] => match soak::arguments(arguments) {
            Some((minutes, inside)) => return done(soak_for(minutes, inside)),
            None => return usage("soak takes --minutes and a number above 0, or nothing"),
        },
        [name] => match all().find(|chore| chore.name == *name) {
            Some(chore) => chore,
            None => return usage(&format!("no chore is called {name}")),
        },
        _ => return usage("a chore takes no arguments"),
    };
    done(Workspace::of_this_program().and_then(|workspace| (chore.run)(&workspace)))
}

fn soak_for(minutes: u64, inside: bool) -> Result<()> {
    let workspace = Workspace::of_this_program()?;
    if inside { soak::inside(&workspace, minutes) } else { soak::run(&workspace, minutes) }
}

fn done(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if crash::seen() { ExitCode::from(crash::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

fn all() -> impl Iterator<Item = Chore> {
    std::iter::once(CI).chain(ci::STEPS.iter().chain(ALONE).copied())
}

fn list() -> String {
    let lines = all().map(|Chore { name, what, .. }| format!("  cargo xtask {name:15}  {what}\n"));
    std::iter::once("The project's chores:\n".into()).chain(lines).collect()
}

fn usage(problem: &str) -> ExitCode {
    eprint!("error: {problem}\n\n{}", list());
    ExitCode::from(USAGE)
}
