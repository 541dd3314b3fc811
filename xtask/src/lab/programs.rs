//! The programs that the suite needs, installed where that is possible.

use std::{env, os::unix::fs::MetadataExt, path::PathBuf};

use anyhow::{Result, bail};

use crate::{Workspace, invocation::Invocation};

/// What namespaces are made with, and the Debian packages that it is in.
const NAMESPACES: [(&str, &str); 2] = [("ip", "iproute2"), ("unshare", "util-linux")];

/// Where Debian keeps daemons and `ip`; not in every user's `PATH`.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Whether this process may install packages and make namespaces.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Sees to it that these programs, given with their Debian packages, are there, and what namespaces are made with.
pub(crate) fn provide(workspace: &Workspace, programs: &[(&str, &'static str)]) -> Result<()> {
    let missing = || missing(programs);
    if missing().is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing().join(" "));
    if is_root() && find("apt-get").is_some() {
        for line in ["apt-get update", &install] {
            // Questions would wait for an answer that nobody is there to give.
            Invocation::typed(line, workspace.root()).env("DEBIAN_FRONTEND", "noninteractive").run()?;
        }
    }
    match missing().as_slice() {
        [] => Ok(()),
        packages => bail!(
            "programs are missing; install them and try again:\n\n    sudo apt-get update && sudo apt-get install -y \
             --no-install-recommends {}\n",
            packages.join(" ")
        ),
    }
}

/// The packages of the programs that are not there.
fn missing(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let all = programs.iter().chain(&NAMESPACES);
    all.filter(|(program, _)| find(program).is_none()).map(|&(_, package)| package).collect()
}
