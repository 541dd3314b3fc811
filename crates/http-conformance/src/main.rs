//! `cargo xtask http-conformance`: how HTTP proxies behave, ours among them, in raw bytes.
//!
//! The environment variable [`SERVER_VARIABLE`] chooses one proxy. Otherwise all proxies run at the same time, and so do the
//! rows of each.

#![forbid(unsafe_code)]

mod conversation;
mod counter;
mod packets;
mod page;
mod rows;
mod servers;
mod suite;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use conformance_table::judge::WRITE;
use lab::{
    namespace::Namespaces,
    suite::{CommandLine, Suite},
};
use programs::{Program, Workspace, install_missing};

use self::servers::Kind;

/// This suite.
const SUITE: Suite = Suite { name: "http-conformance", namespaces: Namespaces::Network };
/// What it runs beside the proxies.
const PROGRAMS: [Program; 3] = [("ip", "iproute2"), ("unshare", "util-linux"), ("chromium", "chromium")];
/// The variable that chooses one proxy.
const SERVER_VARIABLE: &str = "HTTP_CONFORMANCE_SUBJECT";

fn main() -> ExitCode {
    let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
    let write = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        [WRITE] => true,
        _ => return SUITE.wrong_usage("--write or no argument"),
    };
    SUITE.run(|workspace| if is_inside { inside(workspace, write) } else { outside(workspace, write) })
}

/// Prepares what needs the internet, then runs the rest inside the namespaces.
fn outside(workspace: &Workspace, write: bool) -> Result<()> {
    let kinds = chosen()?;
    ensure!(!write || kinds.len() == Kind::ALL.len(), "{WRITE} needs all proxies: unset {SERVER_VARIABLE}");
    let needed: Vec<_> = kinds.into_iter().filter_map(Kind::program).chain(PROGRAMS).collect();
    install_missing(&needed, workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside_despite_crashes(workspace, if write { &[WRITE] } else { &[] })
}

/// Tests the proxies, then writes or compares the table.
fn inside(workspace: &Workspace, write: bool) -> Result<()> {
    let kinds = chosen()?;
    SUITE.in_lab(workspace, async |lab| {
        let results = suite::run(workspace, lab, &kinds).await?;
        suite::judge(workspace, &results, write)
    })
}

/// The proxies to be tested.
fn chosen() -> Result<Vec<Kind>> {
    choose(&std::env::var(SERVER_VARIABLE).unwrap_or_default())
}

fn choose(name: &str) -> Result<Vec<Kind>> {
    if name.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    let known = Kind::ALL.map(Kind::name).join(", ");
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    kind.map(|kind| vec![kind]).with_context(|| format!("{SERVER_VARIABLE}={name} is none of {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_proxy_or_all_of_them() {
        assert_eq!(choose("").unwrap(), Kind::ALL);
        assert_eq!(choose("privoxy").unwrap(), [Kind::Privoxy]);
        let error = choose("squid").unwrap_err().to_string();
        assert!(error.ends_with("none of ours, i2pd, privoxy, tinyproxy"), "{error}");
    }
}
