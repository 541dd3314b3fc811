//! `cargo xtask bench`: our proxy beside other SOCKS servers and a bare relay, with the same work in the same run.
//!
//! The numbers never make it fail. It fails if something does not run, or if a number is impossible.

#![forbid(unsafe_code)]

mod address_book;
mod bridge;
mod client;
mod contained;
mod far_site;
mod first_byte;
mod growth;
mod in_lab;
mod measure;
mod networks;
mod page;
mod plan;
mod plot;
mod processes;
mod running;
mod section;
mod service;
mod site_server;
mod statistics;
mod subject;
mod suite;
mod table;
mod targets;
mod web_page;
mod workloads;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail, ensure};
use lab::{
    namespace::Namespaces,
    suite::{CommandLine, Suite},
};
use programs::{Program, Workspace, install_missing};

use self::{
    contained::client::CLIENT,
    networks::{Extent, NETWORK},
    plan::Plan,
};

/// This suite.
const SUITE: Suite = Suite { name: "bench", namespaces: Namespaces::NetworkAndProcesses };
/// What it runs beside the subjects.
const PROGRAMS: [Program; 2] = [("ip", "iproute2"), ("unshare", "util-linux")];

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Measure and print everything except the networks.
    Full,
    /// A minute, to see that everything still runs.
    Short,
    /// Measure the same as in full and write the page.
    Write,
    /// Only the link with latency.
    Link,
    /// Measure our proxy beside this program of an earlier commit.
    Before(PathBuf),
    /// All lossy and slow networks.
    Networks(Networks),
    /// One of them, which has this name.
    Network { name: String, short: bool },
    /// A page with objects, through HTTP proxies.
    Page(PageVisits),
    /// A contained program.
    Contained(Containment),
}

/// How long a contained program is measured, and what happens to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Containment {
    Print,
    PrintShort,
    Write,
}

/// How often a page with objects is visited, and what happens to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageVisits {
    Print,
    PrintShort,
    Write,
}

/// What happens to the table of all networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Networks {
    Print,
    PrintShort,
    /// Print it, and replace the one of the same i2pd on the page.
    Write,
}

impl Mode {
    fn parse(arguments: &[String]) -> Option<Self> {
        let words: Vec<_> = arguments.iter().map(String::as_str).collect();
        Some(match words.as_slice() {
            [] => Self::Full,
            ["--short"] => Self::Short,
            ["--write"] => Self::Write,
            ["--link"] => Self::Link,
            [BEFORE, program] => Self::Before(PathBuf::from(program)),
            ["--networks"] => Self::Networks(Networks::Print),
            ["--networks", "--short"] => Self::Networks(Networks::PrintShort),
            ["--networks", "--write"] => Self::Networks(Networks::Write),
            ["--contained"] => Self::Contained(Containment::Print),
            ["--contained", "--short"] => Self::Contained(Containment::PrintShort),
            ["--contained", "--write"] => Self::Contained(Containment::Write),
            ["--page"] => Self::Page(PageVisits::Print),
            ["--page", "--short"] => Self::Page(PageVisits::PrintShort),
            ["--page", "--write"] => Self::Page(PageVisits::Write),
            [NETWORK, name, rest @ ..] if networks::exists(name) && matches!(rest, [] | ["--short"]) => {
                Self::Network { name: (*name).to_owned(), short: !rest.is_empty() }
            }
            _ => return None,
        })
    }
}

/// The option with the program of an earlier commit.
const BEFORE: &str = "--before";
/// What the suite takes.
const USAGE: &str = "--short, --link, --before PROGRAM, --write, --networks, --networks --short, --networks --write, --network NAME, --contained, --contained --short, --contained --write, --page, --page --short, --page --write or no argument";

fn main() -> ExitCode {
    let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let [CLIENT, rest @ ..] = words.as_slice() {
        return SUITE.run(|_| contained::client::run(rest));
    }
    match Mode::parse(&arguments) {
        Some(mode) if is_inside => SUITE.run(|workspace| inside(workspace, &mode)),
        Some(mode) => SUITE.run(|workspace| outside(workspace, &mode, &arguments)),
        None => SUITE.wrong_usage(USAGE),
    }
}

/// Prepares what needs the internet, then runs the rest inside the namespaces.
fn outside(workspace: &Workspace, mode: &Mode, arguments: &[String]) -> Result<()> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match mode {
        Mode::Networks(networks) => {
            prepare_networks(workspace)?;
            measure_networks(workspace, *networks)
        }
        Mode::Network { .. } | Mode::Page(_) => {
            prepare_networks(workspace)?;
            SUITE.run_inside(workspace, &arguments)
        }
        Mode::Full | Mode::Short | Mode::Write | Mode::Link | Mode::Before(_) | Mode::Contained(_) => {
            install_missing(&[&PROGRAMS[..], &running::PROGRAMS].concat(), workspace)?;
            running::build(workspace)?;
            SUITE.run_inside(workspace, &arguments)
        }
    }
}

/// The networks need no release build: a round trip over their links takes a thousand times as long as our proxy.
fn prepare_networks(workspace: &Workspace) -> Result<()> {
    install_missing(&[&PROGRAMS[..], &[running::I2PD]].concat(), workspace)?;
    workspace.build_proxy()
}

fn measure_networks(workspace: &Workspace, networks: Networks) -> Result<()> {
    let measured = networks::measure_all(workspace, networks == Networks::PrintShort)?;
    if networks == Networks::Write {
        page::replace_table(workspace, &networks::SECTION, &measured.section)?;
    }
    ensure!(measured.failures == 0, "{} networks were not measured", measured.failures);
    Ok(())
}

fn inside(workspace: &Workspace, mode: &Mode) -> Result<()> {
    match mode {
        Mode::Full => suite::print_all(workspace, &Plan::FULL),
        Mode::Short => {
            suite::print_all(workspace, &Plan::SHORT)?;
            contained::measure(workspace, &Plan::SHORT).map(drop)
        }
        Mode::Write => suite::write_page(workspace),
        Mode::Link => suite::print_link(workspace),
        Mode::Before(program) => suite::print_comparison(workspace, program.clone()),
        Mode::Network { name, short } => {
            networks::measure_one(workspace, name, if *short { Extent::SHORT } else { Extent::FULL })
        }
        Mode::Page(visits) => {
            let turns = if *visits == PageVisits::PrintShort { web_page::SHORT } else { web_page::FULL };
            let table = web_page::measure(workspace, turns)?;
            match visits {
                PageVisits::Write => page::replace_table(workspace, &web_page::SECTION, &table),
                PageVisits::Print | PageVisits::PrintShort => Ok(()),
            }
        }
        Mode::Contained(Containment::Print) => contained::measure(workspace, &Plan::FULL).map(drop),
        Mode::Contained(Containment::PrintShort) => contained::measure(workspace, &Plan::SHORT).map(drop),
        Mode::Contained(Containment::Write) => {
            let table = contained::measure(workspace, &Plan::FULL)?;
            page::replace_table(workspace, &contained::SECTION, &table)
        }
        Mode::Networks(_) => bail!("each network has namespaces of its own"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_chooses_one_mode() {
        let parse = |line: &str| Mode::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse(""), Some(Mode::Full));
        assert_eq!(parse("--link"), Some(Mode::Link));
        assert_eq!(parse("--before /tmp/i2p-socks"), Some(Mode::Before("/tmp/i2p-socks".into())));
        assert_eq!(parse("--networks --write"), Some(Mode::Networks(Networks::Write)));
        assert_eq!(parse("--page --short"), Some(Mode::Page(PageVisits::PrintShort)));
        assert_eq!(parse("--contained --write"), Some(Mode::Contained(Containment::Write)));
        let network = |short| Some(Mode::Network { name: "loss-1".into(), short });
        assert_eq!(parse("--network loss-1"), network(false));
        assert_eq!(parse("--network loss-1 --short"), network(true));
        for wrong in
            ["--short --write", "--before", "--long", "--short --short", "--network", "--network none"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
