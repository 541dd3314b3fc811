//! A second network namespace, beside the one that the lab lives in.
//!
//! A namespace is a property of a thread (`setns(2)`): what a thread opens or starts belongs to the namespace that the thread
//! is in, and stays there whoever uses it later. So nothing but the opening has to be done over there.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::programs;

/// A network namespace that nothing is in at first, not even a loopback interface that is up. It ends with the last that is in
/// it, and this.
pub(crate) struct Far {
    namespace: File,
}

impl Far {
    /// A new one.
    pub(crate) fn new() -> Result<Self> {
        let unshare = programs::find("unshare").context("unshare is missing")?;
        // It says when it is there, and then stays until its stdin ends: by then we hold the namespace ourselves.
        let mut holder = Command::new(unshare)
            .args(["--net", "sh", "-c", "echo there && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start unshare")?;
        let mut said = String::new();
        if let Some(stdout) = holder.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let path = format!("/proc/{}/ns/net", holder.id());
        let namespace = File::open(&path);
        drop(holder.stdin.take());
        holder.wait().context("lost track of unshare")?;
        ensure!(said == "there\n", "no second network namespace can be made");
        Ok(Self { namespace: namespace.with_context(|| format!("could not open {path}"))? })
    }

    /// Does something on a thread that is in the namespace, and waits for it.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let within = || {
            move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .context("could not enter the second namespace")?;
            work()
        };
        // The thread ends here: no other work ever runs on one that is elsewhere.
        thread::scope(|scope| scope.spawn(within).join())
            .map_err(|_| anyhow!("what was done in the second namespace panicked"))?
    }
}
