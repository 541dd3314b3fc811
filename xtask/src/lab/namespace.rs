//! The network namespace that a lab lives in.
//!
//! i2pd 2.45 dials no loopback addresses, so the routers need addresses that look public, on a machine where they
//! are not: a network namespace with nothing but its own loopback interface. It also keeps what other people's programs
//! do away from the internet.
//!
//! The namespace is nameless, and its first process is the suite itself, in a process namespace of its own: when
//! that process ends, in whatever way, the kernel kills the routers and the proxy and takes the network away.
//! There is nothing to clean up and nothing that a crash could leave behind.

use std::{
    io::{self, Read},
    process::{Command, ExitStatus, Stdio},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::oneshot;

use super::crash;
use crate::{Workspace, invocation::Invocation, programs};

/// What a chore says to itself to run inside the namespaces.
pub(crate) const INSIDE: &str = "--inside";
/// A network and a process namespace; the process inside is killed when unshare is.
pub(crate) const NETWORK: &str = "--net --pid --fork --kill-child";
/// The same, and mounts that nobody outside sees.
pub(crate) const NETWORK_AND_MOUNTS: &str = "--net --pid --mount --fork --kill-child";
/// The same, and a `/proc` of the processes inside.
pub(crate) const NETWORK_AND_PROCESSES: &str = "--net --pid --mount --mount-proc --fork --kill-child";
/// The same for somebody who is not root, where unprivileged user namespaces are allowed.
const AS_USER: &str = "--user --map-root-user";

/// Runs this program again inside new namespaces, with the name of the chore, [`INSIDE`] and these arguments. Fails
/// when it does.
pub(crate) fn run_inside(
    workspace: &Workspace,
    chore: &str,
    arguments: &[&str],
    namespaces: &str,
) -> Result<()> {
    judge(attempt(workspace, chore, arguments, namespaces)?)
}

/// The same, and once more where it failed after a router had crashed, see [`crash`].
pub(crate) fn run_inside_in_spite_of_crashes(
    workspace: &Workspace,
    chore: &str,
    arguments: &[&str],
    namespaces: &str,
) -> Result<()> {
    let mut status = attempt(workspace, chore, arguments, namespaces)?;
    if status.code() == Some(crash::EXIT_CODE.into()) {
        println!(
            "\nA router itself crashed, which is not ours to repair: {chore} is run once more, on new routers.\n"
        );
        status = attempt(workspace, chore, arguments, namespaces)?;
    }
    judge(status)
}

fn judge(status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "the suite failed inside its namespace ({status})");
    Ok(())
}

fn attempt(workspace: &Workspace, chore: &str, arguments: &[&str], namespaces: &str) -> Result<ExitStatus> {
    let unshare = unshare(workspace, namespaces)?;
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    // The pipe tells the inside that we are gone, see `outside_is_gone`.
    let line = unshare.arg(program).arg(chore).arg(INSIDE);
    let mut child = arguments
        .iter()
        .fold(line, Invocation::arg)
        .command()
        .stdin(Stdio::piped())
        .spawn()
        .context("could not start unshare")?;
    let stdin = child.stdin.take();
    let status = child.wait().context("lost track of unshare")?;
    drop(stdin);
    Ok(status)
}

/// The unshare command line that works here.
fn unshare(workspace: &Workspace, namespaces: &str) -> Result<Invocation> {
    let program = programs::find("unshare").context("unshare is missing")?;
    let line = |options: &str| {
        options.split_whitespace().fold(Invocation::new(&program, workspace.root()), Invocation::arg)
    };
    let mut tried = String::new();
    for options in [namespaces.to_owned(), format!("{AS_USER} {namespaces}")] {
        let output = line(&options).arg("true").command().output().context("could not start unshare")?;
        if output.status.success() {
            return Ok(line(&options));
        }
        let reason = String::from_utf8_lossy(&output.stderr);
        tried += &format!("    {}: {}\n", line(&options), reason.trim());
    }
    bail!(
        "no network namespace can be made here; run as root, or allow unprivileged user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0):\n{tried}"
    );
}

/// Whether this process is the first one of a process namespace, as `run_inside` has it.
pub(crate) fn is_inside() -> bool {
    std::process::id() == 1
}

/// Gives the namespace its addresses.
pub(crate) fn set_up(addresses: &[String]) -> Result<()> {
    run("link set lo up")?;
    for address in addresses {
        run(&format!("address add {address}/32 dev lo"))?;
    }
    Ok(())
}

/// Lets programs believe that there is a network. What is sent there is lost.
pub(crate) fn route_everything() -> Result<()> {
    run("route add default dev lo")
}

/// Runs `ip` with these words, in the namespace of the calling thread.
pub(crate) fn run(line: &str) -> Result<()> {
    let ip = programs::find("ip").context("ip is missing")?;
    let output = Command::new(ip).args(line.split_whitespace()).output().context("could not start ip")?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Comes back when the suite outside has ended: it holds the other end of our stdin, and the kernel closes that
/// whatever ends it. Without this, Ctrl-C would leave the inside running, since the first process of a process
/// namespace ignores signals that it does not handle.
pub(crate) async fn outside_is_gone() {
    let (gone, told) = oneshot::channel::<()>();
    thread::spawn(move || {
        // Nobody writes: reading comes back at the end, or not at all.
        let _ = io::stdin().lock().read(&mut [0]);
        drop(gone);
    });
    let _ = told.await;
}
