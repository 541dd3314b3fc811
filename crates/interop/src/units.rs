//! The systemd units, as systemd reads them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use programs::{Invocation, Workspace};
use tokio::process::Command;

use crate::checklist::Checklist;

/// The greatest exposure of the service, of 100, as `systemd-analyze security` counts it. It was 14 when this was written.
const EXPOSURE: &str = "--threshold=15";
/// The page with the drop-in, from the workspace's root.
const PAGE_FILE: &str = "docs/operating.md";
/// A path where nothing is, with everything that systemd would take for something else.
const SPECIAL_PATH: &str = "/opt/i2p socks/50%h $HOME/i2p-socks";

/// Has systemd read the units that the program generates.
pub(crate) async fn check(checklist: &mut Checklist, workspace: &Workspace, lab: &Path) {
    checklist
        .check(
            "systemd accepts the units and rates the exposure of the service as low",
            check_units(workspace, lab),
        )
        .await;
    checklist
        .check(&format!("systemd accepts the drop-in of {PAGE_FILE}"), check_drop_in(workspace, lab))
        .await;
    checklist.check("systemd reads the path of --exec-path", check_exec_path(workspace, lab)).await;
}

/// Analyses the units, with our build in place of the installed program.
async fn check_units(workspace: &Workspace, lab: &Path) -> Result<()> {
    let dist = workspace.root().join("dist");
    let service = fs::read_to_string(dist.join("i2p-socks.service"))?;
    ensure!(
        !service.lines().any(|line| line.starts_with("PrivateUsers=")),
        "the unit has PrivateUsers=, which makes all users of a Unix socket user 65534, who then share one identity in I2P"
    );
    let units = Units::new(lab, "units", &with_our_build(&service, workspace))?;
    let socket = units.directory.join("i2p-socks.socket");
    fs::copy(dist.join("i2p-socks.socket"), &socket)?;
    units.expect(&["verify", "--man=no"], Some(&socket), &[]).await?;
    units.expect(&["security", "--offline=yes", EXPOSURE], None, &[]).await
}

/// The page's drop-in reaches the unit: systemd then knows a setting of it that is wrong, and none that is right.
async fn check_drop_in(workspace: &Workspace, lab: &Path) -> Result<()> {
    let page = fs::read_to_string(workspace.root().join(PAGE_FILE))?;
    let drop_in = page.split_once("```ini\n").and_then(|(_, rest)| rest.split_once("```"));
    let (drop_in, _) = drop_in.with_context(|| format!("no drop-in in {PAGE_FILE}"))?;
    let service = generated(workspace, lab, &[])?;
    let units = Units::new(lab, "drop-in", &with_our_build(&service, workspace))?;
    let verify = ["verify", "--man=no"];
    units.write_drop_in(drop_in)?;
    units.expect(&verify, None, &[]).await?;
    let broken = drop_in.replace("LoadCredential=users:", "LoadCredential=a/b:");
    ensure!(broken != drop_in, "the drop-in does not load the users file:\n{drop_in}");
    units.write_drop_in(&broken)?;
    units.expect(&verify, None, &["Credential name"]).await
}

/// systemd looks for the program at this path, and complains about that alone.
async fn check_exec_path(workspace: &Workspace, lab: &Path) -> Result<()> {
    let service = generated(workspace, lab, &["--exec-path", SPECIAL_PATH])?;
    let units = Units::new(lab, "exec-path", &service)?;
    units.expect(&["verify", "--man=no"], None, &[&format!("Command {SPECIAL_PATH} is not executable")]).await
}

/// The service unit as our build prints it.
fn generated(workspace: &Workspace, lab: &Path, arguments: &[&str]) -> Result<String> {
    let words = ["generate", "unit"].iter().chain(arguments);
    words.fold(Invocation::new(workspace.proxy(), lab), Invocation::arg).output()
}

fn with_our_build(service: &str, workspace: &Workspace) -> String {
    service.replace("/usr/bin/i2p-socks", &workspace.proxy().display().to_string())
}

/// A directory with units.
struct Units {
    directory: PathBuf,
    service: PathBuf,
}

impl Units {
    fn new(lab: &Path, name: &str, service: &str) -> Result<Self> {
        let directory = lab.join(name);
        fs::create_dir_all(directory.join("i2p-socks.service.d"))?;
        let path = directory.join("i2p-socks.service");
        fs::write(&path, service)?;
        Ok(Self { directory, service: path })
    }

    fn write_drop_in(&self, text: &str) -> Result<()> {
        fs::write(self.directory.join("i2p-socks.service.d/users.conf"), text).context("no drop-in")
    }

    /// Analyses the service and another unit. Fails unless the complaints are these, in this order.
    async fn expect(&self, arguments: &[&str], other: Option<&Path>, complaints: &[&str]) -> Result<()> {
        let mut command =
            Command::new(programs::find("systemd-analyze").context("systemd-analyze is missing")?);
        let output = command.args(arguments).arg(&self.service).args(other).output().await;
        let output = output.context("could not start systemd-analyze")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        // The systemd of Debian 12, version 252, does not know Type=notify-reload; it uses the line before. Complaints about other
        // units of this machine are not about ours.
        let found: Vec<_> = errors
            .lines()
            .filter(|line| !line.contains("notify-reload") && line.contains("i2p-socks"))
            .collect();
        let as_expected = found.len() == complaints.len()
            && found.iter().zip(complaints).all(|(found, complaint)| found.contains(complaint));
        ensure!(
            as_expected && (output.status.success() || !complaints.is_empty()),
            "{arguments:?}: {}\n{errors}",
            output.status
        );
        Ok(())
    }
}
