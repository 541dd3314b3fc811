//! The identities in the state directory. Each has a file with its keys and one with its address.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use i2p_sam::{Bridge, KeyFile, PrivateKey};

use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelName},
    files,
};

/// The directory of identities, in the state directory.
const DIRECTORY: &str = "keys";

/// An identity in the state directory, by its files.
#[derive(Debug)]
pub(crate) struct StoredIdentity {
    name: String,
    directory: PathBuf,
    file: KeyFile,
}

impl StoredIdentity {
    /// The identity of this name, which need not exist.
    pub(crate) fn of(state_dir: &Path, name: &str) -> Self {
        let directory = state_dir.join(DIRECTORY);
        let file = KeyFile::new(directory.join(format!("{name}.dat")));
        Self { name: name.to_owned(), directory, file }
    }

    /// Its keys, if it exists. A file that other users can read is an error.
    pub(crate) fn load(&self) -> Result<Option<PrivateKey>, CommandError> {
        self.file.load().map_err(CommandError::run_time)
    }

    /// Its keys. If it does not exist, the router creates it. Also writes the file with its address.
    pub(crate) async fn load_or_generate(&self, bridge: &Bridge) -> Result<PrivateKey, CommandError> {
        self.create_directory()?;
        let key = self.file.load_or_generate(bridge).await.map_err(CommandError::run_time)?;
        self.write_hostname(&key).map_err(|error| {
            CommandError::run_time(format_args!("cannot write {}: {error}", self.hostname().display()))
        })?;
        Ok(key)
    }

    /// Creates the directory of the keys if it does not exist.
    ///
    /// # Errors
    /// It cannot be created.
    pub(crate) fn create_directory(&self) -> Result<(), CommandError> {
        create_private(&self.directory).map_err(|error| {
            CommandError::run_time(format_args!(
                "cannot create the directory {} for the keys of tunnel {}: {error}. Choose another state directory with \
                 --state-dir DIR",
                self.directory.display(),
                self.name
            ))
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file with its keys.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn hostname(&self) -> PathBuf {
        self.directory.join(format!("{}.hostname", self.name))
    }

    /// Writes the file with the address, unless it is there already.
    fn write_hostname(&self, key: &PrivateKey) -> io::Result<()> {
        let line = format!("{}\n", key.destination().b32());
        match files::read_text(&self.hostname(), line.len() as u64) {
            Ok(found) if found == line => Ok(()),
            _ => files::replace(&self.hostname(), line.as_bytes()),
        }
    }
}

/// Says which of these tunnels have no identity yet, as the end of a sentence; `None` if all have one.
pub(crate) fn without_keys(state_dir: &Path, tunnels: &[String]) -> Option<String> {
    let has_none = |name: &&str| !StoredIdentity::of(state_dir, name).path().exists();
    match tunnels.iter().map(String::as_str).filter(has_none).collect::<Vec<_>>()[..] {
        [] => None,
        [tunnel] => Some(format!("tunnel {tunnel} has no keys yet")),
        ref tunnels => Some(format!("tunnels {} have no keys yet", tunnels.join(", "))),
    }
}

/// The same of the tunnels of a configuration.
pub(crate) fn tunnels_without_keys(config: &Config) -> Option<String> {
    without_keys(&config.state_dir().ok()?, &config.persistent_keys())
}

/// The names of all identities in a state directory, in order.
///
/// # Errors
/// The directory with the keys cannot be read. That it does not exist is no error.
pub(crate) fn names(state_dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(state_dir.join(DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".dat").map(str::to_owned))
        .filter(|name| name.parse::<TunnelName>().is_ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_read_is_not_an_empty_one() {
        let state = tempfile::tempdir().unwrap();
        assert!(names(state.path()).unwrap().is_empty(), "none were created yet");
        fs::write(state.path().join(DIRECTORY), "a file in its place").unwrap();
        assert!(names(state.path()).is_err());
    }
}
