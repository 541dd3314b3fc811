//! `cargo xtask contained`: programs that people use, under `i2p-socks exec`, on a machine whose cable counts packets.
//!
//! Each program tries to reach a site in I2P, and a host outside by its name and by its address. The same commands then run without
//! `exec`, and have to reach the host outside: this shows that they try, and that the counters see it.
//!
//! Programs in Go, Java and JavaScript then report why connections of theirs failed.

#![forbid(unsafe_code)]

mod built;
mod errors;
mod far_end;
mod fetchers;
mod machine;
mod people;

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use lab::{
    namespace::{self, Namespaces},
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};

use crate::{far_end::FarEnd, machine::Machine};

/// The machine is a namespace that is entered by process number, with an `/etc/resolv.conf` of its own.
const SUITE: Suite = Suite { name: "contained", namespaces: Namespaces::NetworkAndProcesses };

const PROGRAMS: [Program; 17] = [
    ("curl", "curl"),
    ("wget", "wget"),
    ("git", "git"),
    ("ssh", "openssh-client"),
    ("go", "golang-go"),
    ("musl-gcc", "musl-tools"),
    ("ecj", "ecj"),
    ("java", "default-jre-headless"),
    ("node", "nodejs"),
    ("python3", "python3"),
    ("firefox-esr", "firefox-esr"),
    ("chromium", "chromium"),
    ("weechat", "weechat-curses"),
    ("bash", "bash"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
];

fn main() -> ExitCode {
    SUITE.main(outside, suite)
}

/// The programs that the suite runs.
fn of_the_suite() -> Vec<Program> {
    [&PROGRAMS[..], &lab::sshd::PROGRAMS].concat()
}

fn outside(workspace: &Workspace) -> Result<()> {
    install_missing(&of_the_suite(), workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside(workspace, &[])
}

async fn suite(workspace: &Workspace, lab: &Path) -> Result<()> {
    namespace::set_up(&[])?;
    let (programs, far_end, machine) =
        tokio::try_join!(built::build(lab), FarEnd::start(lab), Machine::start(workspace, lab))?;
    fetchers::check(&machine, &far_end, &programs).await?;
    people::check(&machine, &far_end, &programs).await?;
    errors::check(&machine, &programs).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributors_are_told_of_each_package() {
        let page = include_str!("../../../CONTRIBUTING.md");
        // What each Debian machine has, and what comes with another package of the list.
        let not_named = ["bash", "python3", "util-linux"];
        for (_, package) in of_the_suite() {
            assert!(page.contains(&format!("`{package}`")) || not_named.contains(&package), "{package}");
        }
    }
}
