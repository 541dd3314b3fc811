use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use i2p_name::NameError;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{bridge::Bridge, error::Error, wire::PrivateKey};

/// No keys of I2P are longer: a destination, two private keys and the section of offline keys.
const MAX_FILE: u64 = 8 * 1024;

/// A file with the keys of a destination, in the format of i2pd's and Java I2P's: nothing but their binary form.
///
/// The file is its owner's alone (mode 0600) and written whole or not at all. Reads and writes are those of the file system, and
/// wait for it.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The operating system said no.
    #[error("cannot {what} the key file {}: {source}", path.display())]
    Io {
        /// What was tried: "read" or "write".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Others can read it, so that its keys may be known to them.
    #[error(
        "the key file {} can be read by others (mode {mode:o}): whoever has the keys can be taken for you. If nobody had \
         them, run: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {} holds no keys of I2P: {source}", path.display())]
    NoKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: NameError,
    },
    /// The router made no keys to be kept.
    #[error("the router made no keys: {0}")]
    Router(#[from] Error),
}

impl KeyFile {
    /// The file at this path, which need not exist. Its directory has to.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The keys in the file, if there is one.
    ///
    /// # Errors
    /// [`KeyFileError`]; a file that others can read is one.
    pub fn load(&self) -> Result<Option<PrivateKey>, KeyFileError> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io("read", source)),
        };
        self.is_ours_alone(&file)?;
        // Room for all of it at once: growing would leave copies behind that nobody wipes.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default() + 1));
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|source| self.io("read", source))?;
        PrivateKey::from_bytes(&bytes)
            .map(Some)
            .map_err(|source| KeyFileError::NoKeys { path: self.0.clone(), source })
    }

    /// Puts these keys into the file, in the place of what it held.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn store(&self, key: &PrivateKey) -> Result<(), KeyFileError> {
        let directory = match self.0.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let write = || {
            // Created with mode 0600, and gone again unless it takes its place.
            let mut file = NamedTempFile::new_in(directory)?;
            file.write_all(&key.to_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.0).map_err(|error| error.error)?;
            // The name has to survive a power cut as well.
            #[cfg(unix)]
            File::open(directory)?.sync_all()?;
            Ok(())
        };
        write().map_err(|source| self.io("write", source))
    }

    /// The keys in the file; if there is none, new ones that the router makes and the file keeps.
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

    /// Removes the file: the next keys are others.
    ///
    /// # Errors
    /// [`KeyFileError::Io`]; it is none when there is no file.
    pub fn remove(&self) -> Result<(), KeyFileError> {
        match fs::remove_file(&self.0) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.io("remove", source)),
            _ => Ok(()),
        }
    }

    #[cfg(unix)]
    fn is_ours_alone(&self, file: &File) -> Result<(), KeyFileError> {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|source| self.io("read", source))?.permissions().mode() & 0o777;
        match mode & 0o077 {
            0 => Ok(()),
            _ => Err(KeyFileError::Exposed { path: self.0.clone(), mode }),
        }
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, reason = "the same on all systems for whoever calls it")]
    fn is_ours_alone(&self, _: &File) -> Result<(), KeyFileError> {
        Ok(())
    }

    fn io(&self, what: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Io { what, path: self.0.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PrivateKey {
        sam_testkit::private_key().parse().unwrap()
    }

    #[test]
    fn keys_come_back_as_they_were_kept() {
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
    fn the_file_is_its_owners_alone() {
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
    fn what_holds_no_keys_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(directory.path().join("a.dat"));
        for content in [vec![], vec![0; 390], vec![0xff; 9000], key().destination().as_bytes().to_vec()] {
            file.store(&key()).unwrap();
            // In place, so that the mode stays.
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
