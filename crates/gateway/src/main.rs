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
    router,
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};

/// Hosts are namespaces that are entered by process number, with an `/etc/resolv.conf` of their own.
const SUITE: Suite = Suite { name: "gateway", namespaces: Namespaces::NetworkAndProcesses };

const PROGRAMS: [Program; 8] = [
    ("curl", "curl"),
    ("i2pd", "i2pd"),
    ("getent", "libc-bin"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
];

fn main() -> ExitCode {
    SUITE.main(outside, async |workspace, lab| {
        namespace::set_up(&[router::address(0), router::address(1)])?;
        checks::run(&workspace.proxy(), lab).await
    })
}

fn outside(workspace: &Workspace) -> Result<()> {
    install_missing(&PROGRAMS, workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside(workspace, &[])
}
