//! Where conversations take place that happen at the same time.

use anyhow::{Context, Result};
use tokio::{
    process::Child,
    sync::{Barrier, Mutex},
};

use super::server::Server;
use crate::{
    machine::{Machine, Tunnel},
    recorder::Recorders,
};

pub(super) struct Meeting<'a> {
    pub(super) machine: &'a Machine,
    pub(super) recorders: &'a Recorders,
    pub(super) server: &'a Server,
    pub(super) tunnel: Tunnel,
    /// The other server of the network, until it ends.
    pub(super) linked: Mutex<Option<Child>>,
    /// All conversations wait here for each other before that.
    pub(super) before_split: Barrier,
}

impl Meeting<'_> {
    /// Ends the linked server, once all conversations have come to this.
    pub(super) async fn split(&self) -> Result<()> {
        if self.before_split.wait().await.is_leader()
            && let Some(mut linked) = self.linked.lock().await.take()
        {
            linked.kill().await.context("the linked server has ended")?;
        }
        Ok(())
    }
}
