//! `cargo xtask interop`: a private network of real i2pd routers, our proxy on the SAM bridge of one of them, a web site on
//! another, and the clients that people use in between.
//!
//! The network is formed first, without our proxy. Nothing waits for a fixed time: each stage has a condition and a limit.

#![forbid(unsafe_code)]

mod addresses;
mod apparmor;
mod browser;
mod browsers;
mod checklist;
mod checks;
mod completions;
mod contained;
mod exits;
mod far_end;
mod header_fields;
mod leak_guard;
mod metrics_page;
mod name_server;
mod names;
mod peers;
mod programs_page;
mod proxy_pac;
mod status_page;
mod suite;
mod units;
mod wrappers;

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use lab::{
    namespace::Namespaces,
    suite::{CommandLine, Suite},
};
use programs::{Program, Workspace, install_missing};

/// This suite.
const SUITE: Suite = Suite { name: "interop", namespaces: Namespaces::NetworkAndMounts };
/// The options that run the commands of `docs/programs.md` and nothing else: those of each run, and also those by hand.
const ONLY_PROGRAMS: &str = "--programs";
const ALL_PROGRAMS: &str = "--all-programs";
/// The option that only drives browsers.
const ONLY_BROWSERS: &str = "--browsers";
/// What it runs beside the proxy, the exits and the programs of the peers.
const PROGRAMS: [Program; 14] = [
    ("i2pd", "i2pd"),
    ("curl", "curl"),
    ("torsocks", "torsocks"),
    ("proxychains4", "proxychains4"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("chromium", "chromium"),
    ("promtool", "prometheus"),
    ("prometheus", "prometheus"),
    ("node", "nodejs"),
    ("systemd-analyze", "systemd"),
    ("bash", "bash"),
    ("zsh", "zsh"),
    ("fish", "fish"),
];

fn main() -> ExitCode {
    let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
    let options: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(scope) = Scope::of(&options) else {
        return SUITE.wrong_usage(&format!("nothing, {ONLY_PROGRAMS}, {ONLY_BROWSERS} or {ALL_PROGRAMS}"));
    };
    if is_inside {
        SUITE.run(|workspace| SUITE.in_lab(workspace, async |lab| scope.run(workspace, lab).await))
    } else {
        SUITE.run(|workspace| outside(workspace, scope, &options))
    }
}

/// Which checks run.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    /// All but the commands that are run by hand.
    Suite,
    /// The commands of `docs/programs.md`.
    Programs,
    /// The browsers.
    Browsers,
    /// The commands of `docs/programs.md`, and those that are run by hand.
    AllPrograms,
}

impl Scope {
    fn of(options: &[&str]) -> Option<Self> {
        match options {
            [] => Some(Self::Suite),
            [ONLY_PROGRAMS] => Some(Self::Programs),
            [ALL_PROGRAMS] => Some(Self::AllPrograms),
            [ONLY_BROWSERS] => Some(Self::Browsers),
            _ => None,
        }
    }

    async fn run(self, workspace: &Workspace, lab: &Path) -> Result<()> {
        match self {
            Self::Suite => suite::run(workspace, lab).await,
            Self::Programs => suite::run_programs(workspace, lab, false).await,
            Self::AllPrograms => suite::run_programs(workspace, lab, true).await,
            Self::Browsers => suite::run_browsers(workspace, lab).await,
        }
    }
}

/// The programs that the suite runs.
fn of_the_suite() -> Vec<Program> {
    [&PROGRAMS[..], &lab::exits::PROGRAMS, &peers::PROGRAMS, &programs_page::PROGRAMS, &lab::sshd::PROGRAMS]
        .concat()
}

/// Prepares what needs the internet, then runs the rest inside the namespace.
fn outside(workspace: &Workspace, scope: Scope, options: &[&str]) -> Result<()> {
    let mut all = of_the_suite();
    if scope == Scope::Browsers {
        all.extend(browsers::PROGRAMS);
    }
    if scope == Scope::AllPrograms {
        all.extend(programs_page::BY_HAND_PROGRAMS);
        programs::unpacked(programs_page::BITCOIN, programs_page::BITCOIN_RELEASE, workspace)?;
    }
    if scope == Scope::Suite {
        programs::unpacked(apparmor::PARSER, apparmor::PARSER_RELEASE, workspace)?;
    }
    install_missing(&all, workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside_despite_crashes(workspace, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributors_are_told_of_each_package() {
        let page = include_str!("../../../CONTRIBUTING.md");
        // What each Debian machine has, and what comes with another package of the list.
        let not_named = ["bash", "coreutils", "python3", "util-linux"];
        for (_, package) in of_the_suite() {
            assert!(page.contains(&format!("`{package}`")) || not_named.contains(&package), "{package}");
        }
    }

    #[test]
    fn an_option_chooses_what_runs() {
        assert!(Scope::of(&[]) == Some(Scope::Suite));
        assert!(Scope::of(&["--programs"]) == Some(Scope::Programs));
        assert!(Scope::of(&["--all-programs"]) == Some(Scope::AllPrograms));
        assert!(Scope::of(&["--browsers"]) == Some(Scope::Browsers));
        assert!(Scope::of(&["--programs", "--all-programs"]).is_none());
    }
}
