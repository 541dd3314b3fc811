//! Programs of the system, and the Debian packages that they come from.

use std::{env, fs::File, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{Invocation, Workspace};

/// A program, or the path of a file, and the Debian package that brings it.
pub type Program = (&'static str, &'static str);

/// Where Debian keeps daemons and `ip`. Not every user has these directories in `PATH`.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Finds a program in `PATH` and in the system's directories.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Installs the programs that are missing, as root with apt-get. Otherwise fails with the command that installs them.
pub fn install_missing(programs: &[Program], workspace: &Workspace) -> Result<()> {
    if missing(programs).is_empty() {
        return Ok(());
    }
    let install = || format!("apt-get install -y --no-install-recommends {}", missing(programs).join(" "));
    // apt-get fails where another one runs, such as that of a step beside this one.
    let lock = File::create(workspace.target().join("packages.lock")).context("no lock for apt-get")?;
    lock.lock().context("no lock for apt-get")?;
    if !missing(programs).is_empty() && is_root() && find("apt-get").is_some() {
        for line in ["apt-get update", &install()] {
            // Nobody is there to answer questions of the packages.
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

/// The version of the package that a program comes from.
#[must_use]
pub fn package_version((_, package): Program) -> String {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${Version} (Debian)", package]).output();
    match query {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::from("of unknown version"),
    }
}

/// The packages of the programs that are not installed.
fn missing(programs: &[Program]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| find(program).is_none()).map(|&(_, package)| package).collect()
}

/// Checks whether this process is allowed to install packages.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
