//! The Linux namespaces in which a suite runs.
//!
//! i2pd 2.45 does not dial loopback addresses, so its routers need addresses that look public on a machine where they are
//! not: a network namespace with nothing but its own loopback interface. The namespace also keeps other people's programs
//! away from the internet.
//!
//! The namespaces have no name, and their first process is the suite itself, in a process namespace of its own. When that
//! process ends for whatever reason, the kernel kills the routers and the proxy and removes the network. There is nothing to
//! clean up, and a crash leaves nothing behind.

mod holder;
pub mod host;
pub mod latency;
pub mod link;
pub mod second;

use std::{
    io::{self, Read},
    process::{Command, ExitStatus, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use programs::{Invocation, Workspace};
use tokio::sync::oneshot;

/// The options of unshare(1) for a user who is not root, where unprivileged user namespaces are allowed.
const AS_USER: &str = "--user --map-root-user";

/// Which namespaces a suite needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// A network and a process namespace.
    Network,
    /// The same, and mounts that nobody outside sees.
    NetworkAndMounts,
    /// The same, and a `/proc` of the processes inside.
    NetworkAndProcesses,
}

impl Namespaces {
    /// The options of unshare(1). The process inside is killed together with unshare.
    fn options(self) -> &'static str {
        match self {
            Self::Network => "--net --pid --fork --kill-child",
            Self::NetworkAndMounts => "--net --pid --mount --fork --kill-child",
            Self::NetworkAndProcesses => "--net --pid --mount --mount-proc --fork --kill-child",
        }
    }
}

/// Runs this program inside new namespaces with these arguments, and waits for its end.
pub(crate) fn run_this_program(
    workspace: &Workspace,
    arguments: &[&str],
    namespaces: Namespaces,
) -> Result<ExitStatus> {
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    let line = unshare(workspace, namespaces)?.arg(program);
    let mut child = arguments
        .iter()
        .fold(line, Invocation::arg)
        .command()
        // The pipe tells the inside that we have ended, see `outside_has_ended`.
        .stdin(Stdio::piped())
        .spawn()
        .context("could not start unshare")?;
    let stdin = child.stdin.take();
    let status = child.wait().context("lost track of unshare")?;
    drop(stdin);
    Ok(status)
}

/// Finds the unshare command line that works on this machine.
fn unshare(workspace: &Workspace, namespaces: Namespaces) -> Result<Invocation> {
    let program = programs::find("unshare").context("unshare is missing")?;
    let line = |options: &str| {
        options.split_whitespace().fold(Invocation::new(&program, workspace.root()), Invocation::arg)
    };
    let mut failures = String::new();
    for options in [namespaces.options().to_owned(), format!("{AS_USER} {}", namespaces.options())] {
        let output = line(&options).arg("true").command().output().context("could not start unshare")?;
        if output.status.success() {
            return Ok(line(&options));
        }
        let reason = String::from_utf8_lossy(&output.stderr);
        failures += &format!("    {}: {}\n", line(&options), reason.trim());
    }
    bail!(
        "no network namespace can be made here; run as root, or allow unprivileged user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0):\n{failures}"
    );
}

/// Checks whether this process is the first one of a process namespace.
pub(crate) fn is_inside() -> bool {
    std::process::id() == 1
}

/// Brings the loopback interface of this thread's namespace up and gives it these addresses.
pub fn set_up(addresses: &[String]) -> Result<()> {
    ip("link set lo up")?;
    for address in addresses {
        ip(&format!("address add {address}/32 dev lo"))?;
    }
    Ok(())
}

/// Gives the loopback interface of this thread's namespace a whole network, such as `11.0.0.0/24`.
pub fn add_network(network: &str) -> Result<()> {
    ip(&format!("address add {network} dev lo"))
}

/// Makes programs believe that there is a network. What they send there is lost.
pub fn add_default_route() -> Result<()> {
    ip("route add default dev lo")
}

/// Runs ip(8) with these words, in the namespace of this thread.
fn ip(line: &str) -> Result<()> {
    let ip = programs::find("ip").context("ip is missing")?;
    let output = Command::new(ip).args(line.split_whitespace()).output().context("could not start ip")?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Returns once the suite outside has ended: it holds the other end of our stdin, which the kernel then closes. Without this,
/// Ctrl-C would leave the inside running, since the first process of a process namespace ignores signals that it does not
/// handle.
pub(crate) async fn outside_has_ended() {
    let (ended, wait) = oneshot::channel::<()>();
    thread::spawn(move || {
        // Nobody writes: this read returns at the end of the input.
        let _ = io::stdin().lock().read(&mut [0]);
        drop(ended);
    });
    let _ = wait.await;
}
