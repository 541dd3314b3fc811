use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use i2p_name::NameError;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{bridge::Bridge, error::Error, wire::PrivateKey};

/// I2P keys are never longer: a destination, two private keys and the section of offline keys.
const MAX_KEY_FILE_BYTES: u64 = 8 * 1024;

/// A file with the keys of a destination: their binary form, as i2pd and Java I2P store them.
///
/// Only its owner can read the file (mode 0600). It is written whole or not at all. Reads and writes block the thread.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("cannot {what} the key file {}: {source}", path.display())]
    Io {
        /// The operation: "read", "write" or "remove".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Other users can read the file, and may have copied its keys.
    #[error(
        "the key file {} can be read by others (mode {mode:o}): anyone with the keys can pose as you. If nobody else has \
         read it, run: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("the key file {} holds no I2P keys: {source}", path.display())]
    NoKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: NameError,
    },
    /// The router made no keys to store.
    #[error("the router made no keys: {0}")]
    Router(#[from] Error),
}

impl KeyFile {
    /// The file at this path, which need not exist. Its directory must.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the keys from the file. `None` if there is no file.
    ///
    /// # Errors
    /// [`KeyFileError`], also for a file that other users can read.
    pub fn load(&self) -> Result<Option<PrivateKey>, KeyFileError> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io("read", source)),
        };
        self.refuse_exposed(&file)?;
        // Large enough from the start: a buffer that grows leaves copies behind that are not wiped.
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_KEY_FILE_BYTES).unwrap_or_default() + 1));
        file.take(MAX_KEY_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| self.io("read", source))?;
        PrivateKey::from_bytes(&bytes)
            .map(Some)
            .map_err(|source| KeyFileError::NoKeys { path: self.0.clone(), source })
    }

    /// Writes these keys to the file, replacing what it held.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn store(&self, key: &PrivateKey) -> Result<(), KeyFileError> {
        let directory = match self.0.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let write = || {
            // Created with mode 0600, and removed unless it is renamed to the key file.
            let mut file = NamedTempFile::new_in(directory).map_err(without_temporary_name)?;
            file.write_all(&key.to_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.0).map_err(|error| error.error)?;
            // The new name must survive a power cut as well.
            #[cfg(unix)]
            File::open(directory)?.sync_all()?;
            Ok(())
        };
        write().map_err(|source| self.io("write", source))
    }

    /// Reads the keys from the file. If there is no file, the router makes new keys, which are stored in it.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub async fn load_or_generate(&self, bridge: &Bridge) -> Result<PrivateKey, KeyFileError> {
        if let Some(key) = self.load()? {
            return Ok(key);
        }
        let key = bridge.generate_keys().await?;
        self.store(&key)?;
        Ok(key)
    }

    /// Removes the file, so that the next keys are new ones. Succeeds if there is no file.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn remove(&self) -> Result<(), KeyFileError> {
        match fs::remove_file(&self.0) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.io("remove", source)),
            _ => Ok(()),
        }
    }

    #[cfg(unix)]
    fn refuse_exposed(&self, file: &File) -> Result<(), KeyFileError> {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|source| self.io("read", source))?.permissions().mode() & 0o777;
        match mode & 0o077 {
            0 => Ok(()),
            _ => Err(KeyFileError::Exposed { path: self.0.clone(), mode }),
        }
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, reason = "the same signature on all systems")]
    fn refuse_exposed(&self, _: &File) -> Result<(), KeyFileError> {
        Ok(())
    }

    fn io(&self, what: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Io { what, path: self.0.clone(), source }
    }
}

/// The error without the name of a temporary file, which `tempfile` adds to it and nobody can look for.
fn without_temporary_name(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path \"") {
        Some((cause, _)) => io::Error::new(error.kind(), cause),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PrivateKey {
        sam_testkit::private_key().parse().unwrap()
    }

    #[test]
    fn keys_are_read_as_they_were_stored() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(directory.path().join("a.dat"));
        assert!(file.load().unwrap().is_none());
        file.store(&key()).unwrap();
        file.store(&key()).unwrap();
        assert_eq!(file.load().unwrap(), Some(key()));
        assert_eq!(fs::read(file.path()).unwrap(), *key().to_bytes());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(file.load().unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(directory.path().join("a.dat"));
        file.store(&key()).unwrap();
        let mode = |file: &KeyFile| fs::metadata(file.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = file.load().unwrap_err();
        assert!(matches!(error, KeyFileError::Exposed { mode: 0o640, .. }), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_without_keys_is_refused_and_left_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(directory.path().join("a.dat"));
        for content in [vec![], vec![0; 390], vec![0xff; 9000], key().destination().as_bytes().to_vec()] {
            file.store(&key()).unwrap();
            // In place, so that the mode stays 0600.
            File::options()
                .write(true)
                .truncate(true)
                .open(file.path())
                .unwrap()
                .write_all(&content)
                .unwrap();
            assert!(matches!(file.load(), Err(KeyFileError::NoKeys { .. })), "{} bytes", content.len());
            assert_eq!(fs::read(file.path()).unwrap(), content);
        }
        let nowhere = KeyFile::new(directory.path().join("none").join("a.dat"));
        assert!(matches!(nowhere.store(&key()), Err(KeyFileError::Io { what: "write", .. })));
    }
}
