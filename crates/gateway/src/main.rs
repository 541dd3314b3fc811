//! `cargo xtask gateway`: the recipes of `docs/gateway.md`, on a gateway that forwards what its firewall lets through.
//!
//! Behind it are a network namespace, and a bridge with two hosts, which is the shape of a Docker network, of a gateway for virtual
//! machines, and of a home router. A counter on the way to the internet counts what leaves.

#![forbid(unsafe_code)]

mod checks;

mod proxy;
mod uplink;

use std::process::ExitCode;

use anyhow::Result;
use lab::{
    namespace::{self, Namespaces},
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};

/// Hosts are namespaces that are entered by process number, with an `/etc/resolv.conf` of their own.
const SUITE: Suite = Suite { name: "gateway", namespaces: Namespaces::NetworkAndProcesses };

const PROGRAMS: [Program; 7] = [
    ("curl", "curl"),
    ("getent", "libc-bin"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
];

fn main() -> ExitCode {
    let lab::suite::CommandLine { is_inside, arguments } = lab::suite::CommandLine::of_this_process();
    match arguments.is_empty() {
        true => SUITE.run(|workspace| run(workspace, is_inside)),
        false => SUITE.wrong_usage("no arguments"),
    }
}

fn run(workspace: &Workspace, is_inside: bool) -> Result<()> {
    if !is_inside {
        install_missing(&PROGRAMS, workspace)?;
        if !workspace.proxy().exists() {
            workspace.build_proxy()?;
        }
        return SUITE.run_inside(workspace, &[]);
    }
    namespace::set_up(&[])?;
    SUITE.in_lab(workspace, async |lab| checks::run(&workspace.proxy(), lab).await)
}
