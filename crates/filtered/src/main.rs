//! `cargo xtask filtered`: programs that people use, through the filters of the proxy.
//!
//! Each program does its work with a real server. What arrives there is recorded, and tells nothing of the machine: neither its name, nor
//! the account, nor the time zone, nor the program. The same program then runs without filters, and has to tell some of it: this shows that
//! it tries.

#![forbid(unsafe_code)]

mod chat;
mod machine;
mod mail_and_files;
mod recorder;
mod servers;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};
use lab::{
    namespace::{self, Namespaces},
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};

use crate::{machine::Machine, recorder::Recorders, servers::Servers};

const SUITE: Suite = Suite { name: "filtered", namespaces: Namespaces::NetworkAndProcesses };

/// The servers, and the programs that use them.
const PROGRAMS: [Program; 16] = [
    ("ngircd", "ngircd"),
    ("aiosmtpd", "python3-aiosmtpd"),
    ("dovecot", "dovecot-imapd"),
    ("vsftpd", "vsftpd"),
    ("weechat-headless", "weechat-headless"),
    ("irssi", "irssi"),
    ("msmtp", "msmtp"),
    ("swaks", "swaks"),
    ("mutt", "mutt"),
    ("mbsync", "isync"),
    ("lftp", "lftp"),
    ("curl", "curl"),
    ("torsocks", "torsocks"),
    ("ip", "iproute2"),
    ("script", "bsdutils"),
    ("unshare", "util-linux"),
];
/// Files of packages that bring no program.
const FILES: [Program; 2] = [
    ("/usr/lib/dovecot/pop3", "dovecot-pop3d"),
    ("/usr/lib/python3/dist-packages/irc/bot.py", "python3-irc"),
];

fn main() -> ExitCode {
    SUITE.main(outside, suite)
}

fn outside(workspace: &Workspace) -> Result<()> {
    let files = FILES.into_iter().filter(|(file, _)| !Path::new(file).exists());
    install_missing(&PROGRAMS.into_iter().chain(files).collect::<Vec<_>>(), workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside(workspace, &[])
}

async fn suite(workspace: &Workspace, lab: &Path) -> Result<()> {
    namespace::set_up(&[machine::ADDRESS.to_owned()])?;
    let recorders = Recorders::start().await?;
    // Servers and programs run as other users, who may have no way to the sources.
    let public = tempfile::tempdir().context("no directory for other users")?;
    fs::set_permissions(public.path(), Permissions::from_mode(0o755))?;
    let (_servers, machine) =
        tokio::try_join!(Servers::start(lab, public.path()), Machine::start(workspace, lab, public.path()))?;
    chat::check(&machine, &recorders).await?;
    mail_and_files::check(&machine, &recorders).await?;
    machine.check_alarms().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributors_are_told_of_each_package() {
        let page = include_str!("../../../CONTRIBUTING.md");
        // What each Debian machine has.
        let not_named = ["bsdutils", "util-linux"];
        for (_, package) in PROGRAMS.into_iter().chain(FILES) {
            assert!(page.contains(&format!("`{package}`")) || not_named.contains(&package), "{package}");
        }
    }
}
