//! Remembers in the state directory that the proxy has used a router's SAM bridge.
//!
//! Without a bridge, `auto` starts a router of its own, which asks servers on the internet for its first routers. An observer of the
//! network sees that. So a proxy that has used another router waits for it instead, however long it is away.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{config::Config, files};

/// The file, in the state directory. It holds the address of the bridge.
const FILE: &str = "used-sam-bridge";

/// The mark of a used bridge.
pub(crate) struct UsedBridge(Option<PathBuf>);

impl UsedBridge {
    /// The mark in the state directory of this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self(config.state_dir().ok().map(|state_dir| state_dir.join(FILE)))
    }

    /// No bridge has been used.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The file, if a bridge has been used before.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.0.as_deref().filter(|file| file.exists())
    }

    /// Marks that the bridge at this address is used. Without a state directory there is no mark.
    pub(crate) fn mark(&self, address: &impl fmt::Display) {
        let Some(file) = &self.0 else { return };
        let Some(state_dir) = file.parent().filter(|state_dir| state_dir.is_dir()) else { return };
        if file.exists() {
            return;
        }
        let state_dir = match private_directory::open(state_dir) {
            Ok(state_dir) => state_dir,
            // The start of the proxy has warned of it.
            Err(error) => return tracing::debug!("cannot write {}: {error}", file.display()),
        };
        if let Err(error) = files::replace(&state_dir.join(FILE), format!("{address}\n").as_bytes()) {
            tracing::warn!(
                "cannot write {}: {error}. If the router is away at a later start, backend = \"auto\" starts a router of its own \
                 instead of waiting",
                file.display()
            );
        }
    }
}
