//! `cargo xtask bench`: our proxy beside other SOCKS servers and a bare relay, with the same work in the same run.
//!
//! The numbers never make it fail. It fails if something does not run, or if a number is impossible.

#![forbid(unsafe_code)]

mod address_book;
mod bridge;
mod client;
mod first_byte;
mod growth;
mod measure;
mod page;
mod plan;
mod plot;
mod processes;
mod running;
mod service;
mod statistics;
mod subject;
mod suite;
mod table;
mod targets;
mod workloads;

use std::process::ExitCode;

use anyhow::Result;
use lab::{
    namespace::Namespaces,
    suite::{CommandLine, Suite},
};
use programs::{Program, Workspace, install_missing};

use self::plan::Plan;

/// This suite.
const SUITE: Suite = Suite { name: "bench", namespaces: Namespaces::NetworkAndProcesses };
/// What it runs beside the subjects.
const PROGRAMS: [Program; 2] = [("ip", "iproute2"), ("unshare", "util-linux")];

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Measure and print everything.
    Full,
    /// A minute, to see that everything still runs.
    Short,
    /// Measure everything and write the page.
    Write,
    /// Only the link with latency.
    Link,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Full, Self::Short, Self::Write, Self::Link];

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Full => &[],
            Self::Short => &["--short"],
            Self::Write => &["--write"],
            Self::Link => &["--link"],
        }
    }

    fn parse(arguments: &[String]) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.arguments() == arguments)
    }
}

fn main() -> ExitCode {
    let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
    match Mode::parse(&arguments) {
        Some(mode) if is_inside => SUITE.run(|workspace| inside(workspace, mode)),
        Some(mode) => SUITE.run(|workspace| outside(workspace, mode)),
        None => SUITE.wrong_usage("--short, --link, --write or no argument"),
    }
}

/// Prepares what needs the internet, then runs the rest inside the namespaces.
fn outside(workspace: &Workspace, mode: Mode) -> Result<()> {
    install_missing(&[&PROGRAMS[..], &running::PROGRAMS].concat(), workspace)?;
    running::build(workspace)?;
    SUITE.run_inside(workspace, mode.arguments())
}

fn inside(workspace: &Workspace, mode: Mode) -> Result<()> {
    match mode {
        Mode::Full => suite::print_all(workspace, &Plan::FULL),
        Mode::Short => suite::print_all(workspace, &Plan::SHORT),
        Mode::Write => suite::write_page(workspace),
        Mode::Link => suite::print_link(workspace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_chooses_one_mode() {
        let parse = |words: &[&str]| Mode::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        for mode in Mode::ALL {
            assert_eq!(parse(mode.arguments()), Some(mode));
        }
        for wrong in [&["--short", "--write"][..], &["--long"], &["--short", "--short"]] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
