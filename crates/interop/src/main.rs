//! `cargo xtask interop`: a private network of real i2pd routers, our proxy on the SAM bridge of one of them, a web site on
//! another, and the clients that people use in between.
//!
//! The network is formed first, without our proxy. Nothing waits for a fixed time: each stage has a condition and a limit.

#![forbid(unsafe_code)]

mod addresses;
mod browser;
mod checklist;
mod checks;
mod completions;
mod exits;
mod metrics_page;
mod names;
mod peers;
mod programs_page;
mod proxy_pac;
mod status_page;
mod suite;
mod units;
mod wrappers;

use std::process::ExitCode;

use anyhow::Result;
use lab::{
    namespace::Namespaces,
    suite::{CommandLine, Suite},
};
use programs::{Program, Workspace, install_missing};

/// This suite.
const SUITE: Suite = Suite { name: "interop", namespaces: Namespaces::Network };
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
    match arguments.as_slice() {
        [] if is_inside => {
            SUITE.run(|workspace| SUITE.in_lab(workspace, async |lab| suite::run(workspace, lab).await))
        }
        [] => SUITE.run(outside),
        _ => SUITE.wrong_usage("no arguments"),
    }
}

/// Prepares what needs the internet, then runs the rest inside the namespace.
fn outside(workspace: &Workspace) -> Result<()> {
    let all = [&PROGRAMS[..], &lab::exits::PROGRAMS, &peers::PROGRAMS, &programs_page::PROGRAMS];
    install_missing(&all.concat(), workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside_despite_crashes(workspace, &[])
}
