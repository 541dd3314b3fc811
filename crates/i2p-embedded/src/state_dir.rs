//! The directory with the router's keys, its identity and the routers it knows.
//!
//! ```text
//! lock                                   held while the router runs
//! static.key signing.key                 the router's identity, secret halves; 32 random bytes each
//! ntcp2.keys ssu2.keys                   keys of the transports; 48 and 64 random bytes
//! router.info                            the identity, public half
//! netDb/r?/routerInfo-*.dat              other routers
//! peerProfiles/p?/profile-*.toml         how they behaved
//! ```
//!
//! `ssu2.keys` are for a transport that is off. They are kept so that the router stays the same once it is on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use emissary_core::primitives::RouterInfo;
use private_directory::DirectoryError;

use crate::{Error, runtime::Runtime};

/// The key files and their lengths in bytes.
const KEYS: [(&str, usize); 4] =
    [("static.key", 32), ("signing.key", 32), ("ntcp2.keys", 48), ("ssu2.keys", 64)];

/// The keys whose public halves `router.info` names.
const IDENTITY: [&str; 2] = ["static.key", "signing.key"];

const ROUTER_INFO: &str = "router.info";

/// The secrets of a router.
pub(crate) struct Keys {
    pub(crate) identity: [u8; 32],
    pub(crate) signing: [u8; 32],
    pub(crate) ntcp2: [u8; 32],
    pub(crate) ntcp2_iv: [u8; 16],
}

/// A state directory that is private, complete and locked for us while this value lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates or checks the directory, locks it, and creates missing keys. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let real = open_private(path)?;
        let lock = lock(&real)?;
        let dir = Self { path: real, _lock: lock };
        dir.ensure_keys()?;
        dir.router_info()?;
        Ok(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the keys. Blocks.
    pub(crate) fn keys(&self) -> Result<Keys, Error> {
        Ok(Keys {
            identity: self.key("static.key", 0)?,
            signing: self.key("signing.key", 0)?,
            ntcp2: self.key("ntcp2.keys", 0)?,
            ntcp2_iv: self.key("ntcp2.keys", 32)?,
        })
    }

    /// The part of a key file that begins at this byte.
    fn key<const LENGTH: usize>(&self, file: &str, at: usize) -> Result<[u8; LENGTH], Error> {
        let path = self.path.join(file);
        match fs::read(&path) {
            Ok(bytes) => bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or_else(|| {
                Error::DamagedState { path, problem: format!("it has only {} bytes", bytes.len()) }
            }),
            Err(source) => Err(Error::StateDirectory { path, source }),
        }
    }

    /// Stores the router's own information at its first start. Later ones differ only in date and port, and a start reads only the
    /// identity from it.
    pub(crate) fn keep_router_info(&self, info: &[u8]) -> Result<(), Error> {
        let path = self.path.join(ROUTER_INFO);
        if path.exists() { Ok(()) } else { write_private(&path, info) }
    }

    /// Deletes the files about another router. `name` must have passed [`crate::reseed::is_router_name`].
    pub(crate) fn forget(&self, name: &str) {
        let Some(first) = name.chars().next() else { return };
        for file in [
            format!("netDb/r{first}/routerInfo-{name}.dat"),
            format!("peerProfiles/p{first}/profile-{name}.toml"),
        ] {
            // A file that cannot be deleted is read again at the next start, which does no harm.
            let _ = fs::remove_file(self.path.join(file));
        }
    }

    fn ensure_keys(&self) -> Result<(), Error> {
        for (name, length) in KEYS {
            let path = self.path.join(name);
            match fs::metadata(&path) {
                Ok(found) if found.is_file() && found.len() == length as u64 => set_mode(&path, 0o600)?,
                Ok(found) => {
                    let problem = format!("it has {} bytes instead of {length}", found.len());
                    return Err(Error::DamagedState { path, problem });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if IDENTITY.contains(&name) {
                        remove_if_there(&self.path.join(ROUTER_INFO))?;
                    }
                    write_private(&path, &random(length)?)?;
                }
                Err(source) => return Err(Error::StateDirectory { path, source }),
            }
        }
        Ok(())
    }

    /// The router's own information, if it has been stored. It is checked, since emissary panics when it cannot be parsed. Blocks.
    pub(crate) fn router_info(&self) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path.join(ROUTER_INFO);
        let info = match fs::read(&path) {
            Ok(info) => info,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::StateDirectory { path, source }),
        };
        match RouterInfo::parse::<Runtime>(&info) {
            Ok(_) => Ok(Some(info)),
            Err(error) => Err(Error::DamagedState {
                path,
                problem: format!("it is not router information ({error:?})"),
            }),
        }
    }
}

/// Returns the directory itself, with links followed. Creates it if it is missing, and sets the permissions 0700.
fn open_private(path: &Path) -> Result<PathBuf, Error> {
    let real = private_directory::open(path).map_err(|error| match error {
        DirectoryError::Owner { owner } | DirectoryError::LinkOwner { owner } => {
            Error::StateDirectoryOwner { path: path.into(), owner }
        }
        DirectoryError::Io(source) => Error::StateDirectory { path: path.into(), source },
        error => Error::StateDirectory { path: path.into(), source: io::Error::other(error) },
    })?;
    set_mode(&real, 0o700)?;
    Ok(real)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|source| Error::StateDirectory { path: path.into(), source })
}

#[cfg(unix)]
fn lock(dir: &Path) -> Result<File, Error> {
    use rustix::{
        fs::{FlockOperation, flock},
        io::Errno,
    };

    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| Error::StateDirectory { path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Error::StateDirectoryInUse { path: dir.into() }),
        Err(error) => Err(Error::StateDirectory { path, source: error.into() }),
    }
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> Result<(), Error> {
    Ok(())
}

#[cfg(not(unix))]
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    file.map_err(|source| Error::StateDirectory { path, source })
}

/// Writes a file that only we can read, completely or not at all, even if the machine stops meanwhile.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = (|| {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.map_err(|source| Error::StateDirectory { path: path.into(), source })
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::StateDirectory { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

fn random(length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|error| Error::System(error.into()))?;
    Ok(bytes)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_and_its_keys_are_private_and_stay() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("parent/state");
        drop(StateDir::open(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        let keys = |()| KEYS.map(|(name, _)| fs::read(path.join(name)).unwrap());
        let before = keys(());
        for (name, length) in KEYS {
            assert_eq!(mode(&path.join(name)), 0o600);
            assert_eq!(fs::metadata(path.join(name)).unwrap().len(), length as u64);
        }
        drop(StateDir::open(&path).unwrap());
        assert_eq!(before, keys(()));
    }

    #[test]
    fn a_directory_that_others_can_read_becomes_private() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let _dir = StateDir::open(temp.path()).unwrap();
        assert_eq!(mode(temp.path()), 0o700);
    }

    #[test]
    fn a_second_router_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let first = StateDir::open(temp.path()).unwrap();
        assert!(matches!(StateDir::open(temp.path()), Err(Error::StateDirectoryInUse { .. })));
        drop(first);
        assert!(StateDir::open(temp.path()).is_ok());
    }

    #[test]
    fn our_own_link_is_followed_and_a_file_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (real, link, file) =
            (temp.path().join("real"), temp.path().join("link"), temp.path().join("file"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(StateDir::open(&link).unwrap().path(), fs::canonicalize(&real).unwrap());
        fs::write(&file, "").unwrap();
        assert!(matches!(StateDir::open(&file), Err(Error::StateDirectory { .. })));
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (path, link) = (temp.path().join("state"), temp.path().join("link"));
        let give_away = |path: &Path| {
            use rustix::fs::{AtFlags, CWD, Uid, chownat};
            chownat(CWD, path, Some(Uid::from_raw(12_345)), None, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        };
        fs::create_dir(&path).unwrap();
        symlink(&path, &link).unwrap();
        if rustix::process::geteuid().is_root() {
            assert!(give_away(&link));
            assert!(matches!(StateDir::open(&link), Err(Error::StateDirectoryOwner { owner: 12_345, .. })));
            assert!(give_away(&path));
            assert!(matches!(StateDir::open(&path), Err(Error::StateDirectoryOwner { owner: 12_345, .. })));
        } else {
            // Only root can give a directory away, but every user can find one that belongs to root.
            assert!(matches!(
                StateDir::open(Path::new("/")),
                Err(Error::StateDirectoryOwner { owner: 0, .. })
            ));
        }
    }

    #[test]
    fn errors_name_damaged_files() {
        let temp = tempfile::tempdir().unwrap();
        drop(StateDir::open(temp.path()).unwrap());
        fs::write(temp.path().join(ROUTER_INFO), "garbage").unwrap();
        let error = StateDir::open(temp.path()).unwrap_err();
        assert!(error.to_string().contains("router.info is damaged"), "{error}");
        fs::write(temp.path().join("ntcp2.keys"), "short").unwrap();
        let error = StateDir::open(temp.path()).unwrap_err();
        assert!(error.to_string().contains("5 bytes instead of 48"), "{error}");
    }

    #[test]
    fn a_new_key_removes_the_stored_identity() {
        let temp = tempfile::tempdir().unwrap();
        drop(StateDir::open(temp.path()).unwrap());
        fs::write(temp.path().join(ROUTER_INFO), "of the old key").unwrap();
        fs::remove_file(temp.path().join("signing.key")).unwrap();
        drop(StateDir::open(temp.path()).unwrap());
        assert!(!temp.path().join(ROUTER_INFO).exists());
    }
}
