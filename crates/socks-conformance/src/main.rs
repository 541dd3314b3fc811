//! `cargo xtask socks-conformance`: how SOCKS servers behave, ours among them, in raw bytes.
//!
//! The environment variable `SOCKS_CONFORMANCE_SUBJECT` chooses one server. Otherwise all servers run at the same time, and so do the
//! rows of each.

#![forbid(unsafe_code)]

mod client;
#[cfg(test)]
mod comparison;
mod name_server;
mod page;
mod rows;
mod server;
mod servers;
mod services;
mod suite;

use std::process::ExitCode;

use conformance_table::command::Comparison;
use lab::{namespace::Namespaces, suite::Suite};

/// This suite.
const SUITE: Suite = Suite { name: "socks-conformance", namespaces: Namespaces::NetworkAndMounts };

fn main() -> ExitCode {
    let comparison = Comparison {
        suite: SUITE,
        programs: &[("ip", "iproute2"), ("unshare", "util-linux"), ("mount", "mount")],
        variable: "SOCKS_CONFORMANCE_SUBJECT",
    };
    comparison.run(async |workspace, lab, kinds, write| {
        let results = suite::run(workspace, lab, kinds).await?;
        suite::judge(workspace, results, write)
    })
}
