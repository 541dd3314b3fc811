//! `cargo xtask sam-routers`: the conformance suite of `i2p-sam` against two i2pd routers of a private network.

#![forbid(unsafe_code)]

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};
use i2p_sam::KeyFile;
use lab::{
    formation,
    namespace::{self, Namespaces},
    network::{self, Network},
    router::version::I2pdVersion,
    site::Site,
    suite::Suite,
};
use programs::{Invocation, Program, Workspace, install_missing};
use tokio::process::Command;

/// This suite.
const SUITE: Suite = Suite { name: "sam-routers", namespaces: Namespaces::Network };
/// The test of i2p-sam that it runs.
const TEST: &str = "conformance::bridges_and_client_keep_what_the_client_promises";
/// What it runs.
const PROGRAMS: [Program; 3] = [("i2pd", "i2pd"), ("ip", "iproute2"), ("unshare", "util-linux")];

/// The capabilities of the SAM bridge of an i2pd before 2.58.
const EARLIER_CAPABILITIES: &str =
    "SAM 3.1, dialect i2pd, datagrams 1 and raw, subsessions for streams, stream ports ignored";
/// Those of later versions.
const CAPABILITIES: &str =
    "SAM 3.3, dialect i2pd, datagrams 1 2 3 and raw, subsessions for streams, stream ports ignored";
/// The first version with [`CAPABILITIES`].
const NEWER_SAM: I2pdVersion = I2pdVersion::new(2, 58);

fn main() -> ExitCode {
    SUITE.main(outside, suite)
}

/// Builds the test outside, with internet. It then runs inside, without.
fn outside(workspace: &Workspace) -> Result<()> {
    install_missing(&PROGRAMS, workspace)?;
    let tests = test(workspace).arg("--list").output()?;
    ensure!(tests.contains(&format!("{TEST}: test")), "i2p-sam has no test {TEST}");
    SUITE.run_inside_despite_crashes(workspace, &[])
}

/// The test, as `cargo test --workspace` builds it. With `-p i2p-sam`, cargo would build its dependencies once more, with other features.
fn test(workspace: &Workspace) -> Invocation {
    Invocation::typed("cargo test --workspace --test it --locked --target-dir", workspace.root())
        .arg(workspace.target())
        .arg("--")
        .arg("--exact")
        .arg(TEST)
}

/// Forms the network and runs the test.
async fn suite(workspace: &Workspace, lab: &Path) -> Result<()> {
    namespace::set_up(&network::addresses(0))?;
    let version = I2pdVersion::of_routers()?;
    println!("i2pd {version}");
    let network = formation::form("the network", lab, async |directory| form(directory).await).await?;
    let mut hosts = Vec::new();
    for keys in network.site_keys() {
        let file = lab.join(format!("{}.dat", keys.host));
        KeyFile::new(&file).store(&keys.private_key).context("no key file")?;
        hosts.push(format!("{}={}", keys.host, file.display()));
    }
    let bridges = format!("{},{}", network.client_bridge().address(), network.site_bridge().address());
    let test = test(workspace)
        .arg("--nocapture")
        .env("SAM_CONFORMANCE_PEER", &bridges)
        .env(
            "SAM_CONFORMANCE_CAPABILITIES",
            if version < NEWER_SAM { EARLIER_CAPABILITIES } else { CAPABILITIES },
        )
        .env("SAM_CONFORMANCE_HOSTS", &hosts.join(","));
    println!("$ {test}");
    // Killed together with us: without its routers the test would run on for minutes.
    let status =
        Command::from(test.command()).kill_on_drop(true).status().await.context("no test was run")?;
    ensure!(status.success(), "the test exited with {status}");
    Ok(())
}

/// Starts the routers and waits until one reaches the other, with keys that the test does not use.
async fn form(directory: &Path) -> Result<Network> {
    let network = Network::start(directory, &[]).await?;
    Site::publish_with(&network, network.exit_keys(), None).await?;
    Ok(network)
}
