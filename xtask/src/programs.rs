//! The programs that chores need and cargo does not bring, installed where that is possible.

use std::{env, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{Workspace, invocation::Invocation};

/// A program and the Debian package that it is in.
pub(crate) type Program = (&'static str, &'static str);

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

/// Sees to it that all these programs are there.
pub(crate) fn provide(programs: &[Program], workspace: &Workspace) -> Result<()> {
    if missing(programs).is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing(programs).join(" "));
    if is_root() && find("apt-get").is_some() {
        for line in ["apt-get update", &install] {
            // Questions would wait for an answer that nobody is there to give.
            Invocation::typed(line, workspace.root()).env("DEBIAN_FRONTEND", "noninteractive").run()?;
        }
    }
    match missing(programs).as_slice() {
        [] => Ok(()),
        packages => bail!(
            "programs are missing; install them and try again:\n\n    sudo apt-get update && sudo apt-get install -y \
             --no-install-recommends {}\n",
            packages.join(" ")
        ),
    }
}

/// The version of a program's package.
pub(crate) fn package_version((_, package): Program) -> String {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${Version} (Debian)", package]).output();
    match query {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::from("of unknown version"),
    }
}

/// The packages of the programs that are not there.
fn missing(programs: &[Program]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| find(program).is_none()).map(|&(_, package)| package).collect()
}
