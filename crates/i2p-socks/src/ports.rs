//! `ports.json` in the state directory: where this proxy listens, for programs that start it with port 0.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::tunnels::Place;

/// The file's name.
const FILE: &str = "ports.json";

/// The file, which goes away with this value.
#[derive(Debug)]
pub(crate) struct PortsFile(PathBuf);

#[derive(Serialize)]
struct Ports<'a> {
    /// The process that listens.
    pid: u32,
    /// Where, for which tunnel.
    listeners: &'a [Place],
    /// Where the admin endpoint is, as its users write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<&'a str>,
}

impl PortsFile {
    /// The file in this directory, which is there and ours. It is written with [`PortsFile::write`].
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(state_dir.join(FILE))
    }

    /// Puts this into the file, whole or not at all.
    pub(crate) fn write(&self, listeners: &[Place], admin: Option<&str>) {
        if let Err(error) = self.try_write(&Ports { pid: std::process::id(), listeners, admin }) {
            tracing::warn!(
                "cannot write {}: {error}. Programs that read from it where this proxy listens will not find it",
                self.0.display()
            );
        }
    }

    fn try_write(&self, ports: &Ports<'_>) -> io::Result<()> {
        let directory = self.0.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer_pretty(&mut file, ports)?;
        file.write_all(b"\n")?;
        file.persist(&self.0).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.0);
    }
}
