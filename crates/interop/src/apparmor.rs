//! The AppArmor profile, as AppArmor's parser reads it.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use programs::{Invocation, Program, Workspace};

use crate::checklist::Checklist;

/// The parser, which loads nothing here: no machine that runs the suite needs AppArmor.
pub(crate) const PARSER: Program = ("apparmor_parser", "apparmor");
/// The Debian release that it is from. That of Debian 12 does not know the rule `userns`.
pub(crate) const PARSER_RELEASE: &str = "trixie";

/// Has the parser read the profile that the program generates.
pub(crate) async fn check(checklist: &mut Checklist, workspace: &Workspace, lab: &Path) {
    let what = "AppArmor accepts the profile that lets the program make user namespaces";
    checklist.check(what, async { check_profile(workspace, lab) }).await;
}

fn check_profile(workspace: &Workspace, lab: &Path) -> Result<()> {
    let generate = Invocation::new(workspace.proxy(), lab).arg("generate").arg("apparmor");
    let profile = generate.output()?;
    let rules: Vec<_> = profile.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    // With an older ABI, the parser would leave the rule out.
    for rule in ["abi <abi/4.0>,", "userns,"] {
        ensure!(rules.contains(&rule), "the profile has no line `{rule}`:\n{profile}");
    }
    parse(&profile, workspace, lab)?;
    let broken = profile.replace("  userns,", "  usernamespace,");
    ensure!(parse(&broken, workspace, lab).is_err(), "the parser accepts rules that it does not know");
    Ok(())
}

fn parse(profile: &str, workspace: &Workspace, lab: &Path) -> Result<()> {
    let file = lab.join("i2p-socks.apparmor");
    fs::write(&file, profile)?;
    let unpacked = workspace.target().join("debian").join(PARSER_RELEASE).join(PARSER.1);
    let parser = Invocation::new(unpacked.join("bin").join(PARSER.0), lab);
    let parser = parser.arg("--skip-kernel-load").arg("--skip-cache").arg("--base");
    parser.arg(unpacked.join("root/etc/apparmor.d")).arg(file).output().map(drop)
}
