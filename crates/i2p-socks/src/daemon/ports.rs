//! `ports.json` in the state directory: the addresses of the listeners, for programs that start the proxy with port 0.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{files, json, listener::Listener};

/// The file's name.
const FILE: &str = "ports.json";
/// More than the program ever writes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The file. It is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct PortsFile(PathBuf);

#[derive(Serialize)]
struct Ports<'a> {
    /// The ID of the process.
    pid: u32,
    /// The listeners of all tunnels.
    listeners: &'a [Listener],
    /// The sockets for `exec`, for that command alone.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exec: &'a [Listener],
    /// The address of the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<&'a str>,
}

impl PortsFile {
    /// The file in a state directory of this process. [`PortsFile::write`] writes it.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(state_dir.join(FILE))
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, listeners: &[Listener], exec: &[Listener], admin: Option<&str>) {
        if let Err(error) = self.try_write(&Ports { pid: std::process::id(), listeners, exec, admin }) {
            tracing::warn!(
                "cannot write {}: {error}. Programs that look there for the address of the proxy will not find it",
                self.0.display()
            );
        }
    }

    fn try_write(&self, ports: &Ports<'_>) -> io::Result<()> {
        files::replace(&self.0, json::pretty(ports)?.as_bytes())
    }
}

/// Where the proxy listens.
#[derive(Debug, Deserialize)]
pub(crate) struct ListeningAt {
    pub(crate) listeners: Vec<Listener>,
    /// The sockets for `exec`.
    #[serde(default)]
    pub(crate) exec: Vec<Listener>,
}

/// The listeners of the proxy with this state directory; those of its last run if it was killed. `None` if there is no file.
pub(crate) fn read(state_dir: &Path) -> Result<Option<ListeningAt>, String> {
    let text = match files::read(&state_dir.join(FILE), MAX_FILE_BYTES) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        // It may not exist.
        let _ = fs::remove_file(&self.0);
    }
}
