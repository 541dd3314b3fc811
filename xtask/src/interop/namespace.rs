//! The network namespace that the lab lives in.
//!
//! i2pd 2.45 dials no loopback addresses, so the routers need addresses that look public, on a machine where they
//! are not: a network namespace with nothing but its own loopback interface.
//!
//! The namespace is nameless, and its first process is the suite itself, in a process namespace of its own: when
//! that process ends, in whatever way, the kernel kills the routers and the proxy and takes the network away.
//! There is nothing to clean up and nothing that a crash could leave behind.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;

use super::{INSIDE, programs};
use crate::{Workspace, invocation::Invocation};

/// A network and a process namespace; the process inside is killed when unshare is.
const NAMESPACES: &str = "--net --pid --fork --kill-child";
/// The same for somebody who is not root, where unprivileged user namespaces are allowed.
const AS_USER: &str = "--user --map-root-user";

/// Runs this program again, with this chore, inside new namespaces. Fails when it does.
pub(crate) fn run_inside(workspace: &Workspace, chore: &str) -> Result<()> {
    let unshare = unshare(workspace)?;
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    // The pipe tells the inside that we are gone, see `outside_is_gone`.
    let mut child = unshare
        .arg(program)
        .arg(chore)
        .arg(INSIDE)
        .command()
        .stdin(Stdio::piped())
        .spawn()
        .context("could not start unshare")?;
    let stdin = child.stdin.take();
    let status = child.wait().context("lost track of unshare")?;
    drop(stdin);
    if !status.success() {
        bail!("the suite failed inside its namespace ({status})");
    }
    Ok(())
}

/// The unshare command line that works here.
fn unshare(workspace: &Workspace) -> Result<Invocation> {
    let program = programs::find("unshare").context("unshare is missing")?;
    let line = |options: &str| {
        options.split_whitespace().fold(Invocation::new(&program, workspace.root()), Invocation::arg)
    };
    let mut tried = String::new();
    for options in [NAMESPACES.to_owned(), format!("{AS_USER} {NAMESPACES}")] {
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

/// Gives the namespace its addresses. The default route lets programs believe that there is a network.
pub(crate) fn set_up(addresses: &[String]) -> Result<()> {
    let ip = programs::find("ip").context("ip is missing")?;
    let run = |line: &str| {
        let output =
            Command::new(&ip).args(line.split_whitespace()).output().context("could not start ip")?;
        if !output.status.success() {
            bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    };
    run("link set lo up")?;
    for address in addresses {
        run(&format!("address add {address}/32 dev lo"))?;
    }
    run("route add default dev lo")
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
