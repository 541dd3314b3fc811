//! Measurements block, and run in the lab of the suite.

use std::path::Path;

use anyhow::{Context, Result};
use programs::Workspace;
use tokio::task::spawn_blocking;

use crate::SUITE;

/// Does blocking work in the lab.
pub(crate) fn in_lab<T: Send + 'static>(
    workspace: &Workspace,
    work: impl FnOnce(&Workspace, &Path) -> Result<T> + Send + 'static,
) -> Result<T> {
    SUITE.in_lab(workspace, async |lab| {
        let (workspace, lab) = (workspace.clone(), lab.to_path_buf());
        spawn_blocking(move || work(&workspace, &lab)).await.context("the measurement panicked")?
    })
}
