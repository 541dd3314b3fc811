//! `cargo xtask http-conformance`: how HTTP proxies behave, ours among them, in raw bytes.
//!
//! The environment variable `HTTP_CONFORMANCE_SUBJECT` chooses one proxy. Otherwise all proxies that Debian has run at the same time,
//! and so do the rows of each. The results of Java I2P are recorded: `java` records them again.

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

use conformance_table::command::Comparison;
use lab::{namespace::Namespaces, suite::Suite};

/// This suite.
const SUITE: Suite = Suite { name: "http-conformance", namespaces: Namespaces::Network };

fn main() -> ExitCode {
    let comparison = Comparison {
        suite: SUITE,
        programs: &[("ip", "iproute2"), ("unshare", "util-linux"), ("chromium", "chromium")],
        variable: "HTTP_CONFORMANCE_SUBJECT",
    };
    comparison.run(async |workspace, lab, kinds, write| {
        let results = suite::run(workspace, lab, kinds).await?;
        suite::judge(workspace, results, write)
    })
}
