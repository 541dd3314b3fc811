//! `ports.json` in the state directory: where this proxy listens, for programs that start it with port 0.

use std::{
    fs, io,
    io::{Read as _, Write},
    path::{Path, PathBuf},
};

use i2p_tunnel::BoundAddress;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::place::Place;

/// The file's name.
const FILE: &str = "ports.json";
/// More than any file of ours.
const MAX_FILE: u64 = 1024 * 1024;

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

/// Where a proxy listens, as the file says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Listener {
    /// For which tunnel.
    pub(crate) tunnel: String,
    /// The address.
    #[serde(deserialize_with = "address")]
    pub(crate) address: BoundAddress,
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<BoundAddress, D::Error> {
    let text = String::deserialize(from)?;
    match text.strip_prefix("unix:") {
        Some(path) => Ok(BoundAddress::Unix(path.to_owned())),
        None => text.parse().map(BoundAddress::Tcp).map_err(D::Error::custom),
    }
}

/// Where the proxy with this state directory listens, or listened if it was killed; nothing, if there is no such file.
pub(crate) fn read(state_dir: &Path) -> io::Result<Option<Vec<Listener>>> {
    #[derive(Deserialize)]
    struct Read {
        listeners: Vec<Listener>,
    }
    let file = match fs::File::open(state_dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    io::Read::take(file, MAX_FILE).read_to_end(&mut text)?;
    let read: Read = serde_json::from_slice(&text)?;
    Ok(Some(read.listeners))
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.0);
    }
}
