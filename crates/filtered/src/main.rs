//! `cargo xtask filtered`: programs that people use, through the filters of the proxy.
//!
//! Each program does its work with a real server, over a network of i2pd routers. What arrives there is recorded, and tells nothing of the
//! machine: neither its name, nor the account, nor the time zone, nor the program. The same program then runs without filters, and has to
//! tell what it is known to tell: this shows that it tries.
//!
//! | module | what it does |
//! |---|---|
//! | [`servers`] | runs the servers of Debian packages |
//! | [`recorder`] | relays to each server, and keeps what clients send |
//! | [`services`] | makes each recorder a service in I2P |
//! | [`machine`] | runs the proxy, and programs on a machine with a name and an owner |
//! | [`marks`] | knows what tells of the machine, and in which forms |
//! | [`irc`], [`xmpp`], [`mail_and_files`] | the programs, and the people whom they talk to |

#![forbid(unsafe_code)]

mod irc;
mod machine;
mod mail_and_files;
mod marks;
mod recorder;
mod servers;
mod services;
mod xmpp;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};
use lab::{
    namespace::{self, Namespaces},
    router,
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};

use crate::{machine::Machine, recorder::Recorders, servers::Servers};

const SUITE: Suite = Suite { name: "filtered", namespaces: Namespaces::NetworkAndProcesses };

/// The servers, and the programs that use them.
const PROGRAMS: [Program; 20] = [
    ("i2pd", "i2pd"),
    ("ngircd", "ngircd"),
    ("inspircd", "inspircd"),
    ("atheme-services", "atheme-services"),
    ("prosody", "prosody"),
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
const FILES: [Program; 4] = [
    ("/usr/share/doc/weechat-plugins", "weechat-plugins"),
    ("/usr/lib/dovecot/pop3", "dovecot-pop3d"),
    ("/usr/lib/python3/dist-packages/irc/bot.py", "python3-irc"),
    ("/usr/lib/python3/dist-packages/slixmpp", "python3-slixmpp"),
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
    let addresses = [machine::ADDRESS.to_owned(), router::address(0), router::address(1)];
    namespace::set_up(&addresses)?;
    let recorders = Recorders::start().await?;
    // Servers and programs run as other users, who may have no way to the sources.
    let public = tempfile::tempdir().context("no directory for other users")?;
    fs::set_permissions(public.path(), Permissions::from_mode(0o755))?;
    let _servers = Servers::start(lab, public.path()).await?;
    let routers = services::publish(lab).await?;
    let bridge = routers.first().context("no routers")?.bridge();
    let machine = Machine::start(workspace, bridge, lab, public.path()).await?;
    // What has arrived until now came from no program.
    recorders.forget();
    tokio::try_join!(
        irc::check(&machine, &recorders, lab),
        mail_and_files::check(&machine, &recorders),
        xmpp::check(&machine, &recorders),
    )?;
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
