//! The identities that are kept in the state directory: a file of keys and one with the address for each.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use i2p_sam::{Bridge, KeyFile, PrivateKey};

use crate::{config::tunnel::TunnelName, failure::Failure};

/// Below the state directory.
pub(crate) const KEYS: &str = "keys";

/// The files of one identity.
#[derive(Debug)]
pub(crate) struct Kept {
    name: String,
    directory: PathBuf,
    file: KeyFile,
}

impl Kept {
    /// The identity of this name, which need not be there.
    pub(crate) fn of(state_dir: &Path, name: &str) -> Self {
        let directory = state_dir.join(KEYS);
        let file = KeyFile::new(directory.join(format!("{name}.dat")));
        Self { name: name.to_owned(), directory, file }
    }

    /// Its keys, if it is there. A file that others can read is an error.
    pub(crate) fn load(&self) -> Result<Option<PrivateKey>, Failure> {
        self.file.load().map_err(Failure::run_time)
    }

    /// Its keys; where there are none, the router makes some. The address is in the file beside them from then on.
    pub(crate) async fn load_or_generate(&self, bridge: &Bridge) -> Result<PrivateKey, Failure> {
        create_for_us_alone(&self.directory).map_err(|error| {
            Failure::run_time(format_args!(
                "cannot make the directory {} for the keys of tunnel {}: {error}. Say with --state-dir DIR where they can be \
                 kept.",
                self.directory.display(),
                self.name
            ))
        })?;
        let key = self.file.load_or_generate(bridge).await.map_err(Failure::run_time)?;
        self.write_hostname(&key).map_err(|error| {
            Failure::run_time(format_args!("cannot write {}: {error}", self.hostname().display()))
        })?;
        Ok(key)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file with its keys.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where it is kept.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn hostname(&self) -> PathBuf {
        self.directory.join(format!("{}.hostname", self.name))
    }

    /// Whole or not at all, and only where it says something else.
    fn write_hostname(&self, key: &PrivateKey) -> io::Result<()> {
        let line = format!("{}\n", key.destination().b32());
        if fs::read_to_string(self.hostname()).is_ok_and(|found| found == line) {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(line.as_bytes())?;
        file.persist(self.hostname()).map_err(|error| error.error)?;
        Ok(())
    }
}

/// What there are files for, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".dat").map(str::to_owned))
        .filter(|name| name.parse::<TunnelName>().is_ok())
        .collect();
    names.sort_unstable();
    names
}

fn create_for_us_alone(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
