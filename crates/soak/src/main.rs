//! `cargo xtask soak`: an hour of everything at once, to see whether the proxy grows or stops working.
//!
//! The network is that of `interop`: real i2pd routers, a site and exits. Clients of every kind connect in loops. Now and then
//! the proxy's router is killed, and signals make the proxy reload its configuration and take new identities. A quiet minute
//! after the first minutes is compared with a quiet minute at the end.

#![forbid(unsafe_code)]

mod clients;
mod disturbances;
mod event_log;
mod load;
mod sample;
mod soak;
mod verdict;
mod work;

use std::{fs, io::ErrorKind, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use lab::{
    exits,
    namespace::Namespaces,
    suite::{CommandLine, Suite},
};
use programs::{Program, Workspace, install_missing};

/// This suite.
const SUITE: Suite = Suite { name: "soak", namespaces: Namespaces::NetworkAndProcesses };
/// The option for the minutes of load.
const MINUTES: &str = "--minutes";
/// The minutes of load without that option.
const DEFAULT_MINUTES: u64 = 60;
/// What it runs beside the proxy and the exits.
const PROGRAMS: [Program; 4] =
    [("i2pd", "i2pd"), ("curl", "curl"), ("ip", "iproute2"), ("unshare", "util-linux")];

fn main() -> ExitCode {
    let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
    let Some(minutes) = minutes(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) else {
        return SUITE.wrong_usage("--minutes and a number above 0, or no arguments");
    };
    SUITE.run(|workspace| if is_inside { inside(workspace, minutes) } else { outside(workspace, minutes) })
}

/// The minutes that these arguments ask for. Returns nothing if they are not valid.
fn minutes(arguments: &[&str]) -> Option<u64> {
    match arguments {
        [] => Some(DEFAULT_MINUTES),
        [MINUTES, number] => number.parse().ok().filter(|minutes| *minutes > 0),
        _ => None,
    }
}

/// Prepares what needs the internet, then runs the rest inside the namespaces.
fn outside(workspace: &Workspace, minutes: u64) -> Result<()> {
    install_missing(&[&PROGRAMS[..], &exits::PROGRAMS].concat(), workspace)?;
    workspace.build_proxy()?;
    let results = results(workspace);
    match fs::remove_dir_all(&results) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("could not remove {}", results.display()));
        }
        _ => fs::create_dir_all(&results)?,
    }
    // A copy, since the proxy may be built again during the hour.
    let program = program(workspace);
    fs::copy(workspace.proxy(), &program).with_context(|| format!("could not make {}", program.display()))?;
    SUITE.run_inside(workspace, &[MINUTES, &minutes.to_string()])
}

/// Forms the network, runs the load and judges the proxy.
fn inside(workspace: &Workspace, minutes: u64) -> Result<()> {
    SUITE.in_lab(workspace, async |lab| {
        let results = results(workspace);
        println!("the proxy's log and all samples: {}", results.display());
        soak::run(&program(workspace), lab, &results, minutes).await
    })
}

/// The directory of the proxy's files and of the samples, which stays.
fn results(workspace: &Workspace) -> PathBuf {
    workspace.target().join("ci-files").join(SUITE.name)
}

fn program(workspace: &Workspace) -> PathBuf {
    results(workspace).join("proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_takes_minutes_or_nothing() {
        assert_eq!(minutes(&[]), Some(60));
        assert_eq!(minutes(&[MINUTES, "3"]), Some(3));
        for wrong in
            [&[MINUTES][..], &[MINUTES, "0"], &[MINUTES, "-1"], &[MINUTES, "x"], &["3"], &[MINUTES, "3", "4"]]
        {
            assert_eq!(minutes(wrong), None, "{wrong:?}");
        }
    }
}
