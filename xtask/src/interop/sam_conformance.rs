//! `cargo xtask sam-conformance`: the conformance suite of `i2p-sam` against two of the network's i2pd routers.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use i2p_sam::KeyFile;
use tokio::process::Command;

use super::{
    i2pd::{self, Network},
    in_lab, publish_with,
};
use crate::{
    Workspace,
    invocation::Invocation,
    lab::{
        formation,
        namespace::{self, NETWORK},
    },
    programs::{self, Program},
};

/// What the suite runs.
const PROGRAMS: [Program; 3] = [("i2pd", "i2pd"), ("ip", "iproute2"), ("unshare", "util-linux")];
/// The chore's name.
pub(crate) const NAME: &str = "sam-conformance";

/// What the bridge of Debian's 2.45 can do.
const CAPABILITIES: &str =
    "SAM 3.1, dialect i2pd, datagrams 1 and raw, subsessions for streams, stream ports ignored";

/// Outside: the test is built where there is internet, and run where there is none.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    programs::provide(&PROGRAMS, workspace)?;
    test(workspace).arg("--no-run").run()?;
    namespace::run_inside_in_spite_of_crashes(workspace, NAME, &[], NETWORK)
}

/// Inside: the network, and the suite against the routers that the proxy and the site have in the other chore.
pub(crate) fn inside(workspace: &Workspace) -> Result<()> {
    in_lab(workspace, NAME, async |lab| suite(workspace, lab).await)
}

fn test(workspace: &Workspace) -> Invocation {
    Invocation::typed("cargo test -p i2p-sam --test it --locked --target-dir", workspace.root())
        .arg(workspace.target())
}

async fn suite(workspace: &Workspace, lab: &Path) -> Result<()> {
    namespace::set_up(&i2pd::addresses(0))?;
    let network = formation::formed("the network", lab, async |lab| form(lab).await).await?;
    let mut hosts = Vec::new();
    for key in network.site_keys() {
        let file = lab.join(format!("{}.dat", key.host));
        KeyFile::new(&file).store(&key.private).context("no key file")?;
        hosts.push(format!("{}={}", key.host, file.display()));
    }
    let bridges = format!("{},{}", network.client_bridge().address(), network.site_bridge().address());
    let test = test(workspace)
        .arg("--")
        .arg("conformance::")
        .arg("--nocapture")
        .env("SAM_CONFORMANCE_PEER", &bridges)
        .env("SAM_CONFORMANCE_CAPABILITIES", CAPABILITIES)
        .env("SAM_CONFORMANCE_HOSTS", &hosts.join(","));
    println!("$ {test}");
    // Ends with us: a test whose routers are gone would go on for minutes.
    let status =
        Command::from(test.command()).kill_on_drop(true).status().await.context("no test was run")?;
    ensure!(status.success(), "the suite ended with {status}");
    Ok(())
}

/// Starts the routers and waits until one reaches the other, with keys that the suite does not use.
async fn form(lab: &Path) -> Result<Network> {
    let network = Network::start(lab, &[]).await?;
    publish_with(&network, network.exit_keys()).await?;
    Ok(network)
}
