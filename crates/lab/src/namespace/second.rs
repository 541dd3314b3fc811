//! A second network namespace beside the one in which the suite runs.
//!
//! A network namespace is a property of a thread (setns(2)). What a thread opens or starts belongs to the namespace of the
//! thread and stays there, even if another thread uses it later. So only the opening has to happen in the second namespace.

use std::{fs::File, os::fd::AsFd, thread};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::holder;

/// A network namespace in which nothing runs at first, and whose loopback interface is down. It ends together with this value
/// and the last process inside.
pub struct SecondNamespace {
    namespace: File,
}

impl SecondNamespace {
    /// Makes a new one.
    pub fn new() -> Result<Self> {
        // It keeps the namespace until we have opened it.
        let mut holder = holder::start(&["--net"], "true")?;
        let path = format!("/proc/{}/ns/net", holder.id());
        let namespace = File::open(&path);
        drop(holder.stdin.take());
        holder.wait().context("lost track of unshare")?;
        Ok(Self { namespace: namespace.with_context(|| format!("could not open {path}"))? })
    }

    /// Does some work on a thread inside the namespace, and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .context("could not enter the second namespace")?;
            work()
        };
        // The thread ends here: nothing else ever runs on a thread of the other namespace.
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("the work in the second namespace panicked"))?
    }
}
