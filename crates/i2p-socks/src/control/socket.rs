//! The control socket. A state directory has one, and only its owner can connect to it.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::{SOCKET, owner_socket, server::Accept};

/// The process that serves the socket locks this file. If the lock is free, a socket without a listener is a leftover.
const LOCK_FILE: &str = "control.lock";

/// Why there is no control socket.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// Another process uses the state directory.
    InUse,
    /// The directory cannot be used, or other users can write to it.
    Directory(String),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str(super::IN_USE),
            Self::Directory(why) => f.write_str(why),
        }
    }
}

/// The control socket of a state directory. Dropping it removes the socket.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Released after the socket is removed.
    _lock: File,
}

impl ControlSocket {
    /// Creates the state directory if it does not exist (mode 0700), and the socket in it (mode 0600). Must be called within a tokio
    /// runtime.
    pub(crate) fn bind(state_dir: &Path) -> Result<(Self, UnixListener), SocketError> {
        let cannot = |error: io::Error| SocketError::Directory(error.to_string());
        let state_dir =
            private_directory::open(state_dir).map_err(|error| SocketError::Directory(error.to_string()))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(state_dir.join(LOCK_FILE))
            .map_err(cannot)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SocketError::InUse,
            TryLockError::Error(error) => cannot(error),
        })?;
        let path = state_dir.join(SOCKET);
        // This replaces a socket that a killed process has left behind.
        let listener = owner_socket::bind(&path).map_err(cannot)?;
        Ok((Self { path, _lock: lock }, listener))
    }
}

impl ControlSocket {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // The next process replaces a leftover.
        let _ = fs::remove_file(&self.path);
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink},
    };

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn a_state_directory_has_one_socket_for_its_owner() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/state");
        let first = ControlSocket::bind(&dir).unwrap();
        assert_eq!((mode(&dir), mode(&dir.join(SOCKET))), (0o700, 0o600));
        assert!(matches!(ControlSocket::bind(&dir), Err(SocketError::InUse)));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "the socket and the lock");
        UnixStream::connect(dir.join(SOCKET)).await.unwrap();
        drop(first);
        assert!(!dir.join(SOCKET).exists());
        // A killed process leaves a socket without a listener.
        drop(std::os::unix::net::UnixListener::bind(dir.join(SOCKET)).unwrap());
        assert!(UnixStream::connect(dir.join(SOCKET)).await.is_err());
        let _second = ControlSocket::bind(&dir).unwrap();
        UnixStream::connect(dir.join(SOCKET)).await.unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_others_can_write_to_or_redirect_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o777)).unwrap();
        let error = ControlSocket::bind(temp.path()).unwrap_err();
        assert!(error.to_string().contains("other users can write to it"), "{error}");
        fs::set_permissions(temp.path(), Permissions::from_mode(0o700)).unwrap();
        // Only root can give a link away.
        if rustix::process::geteuid().is_root() {
            let link = temp.path().join("link");
            symlink(temp.path(), &link).unwrap();
            lchown(&link, Some(12_345), None).unwrap();
            let error = ControlSocket::bind(&link).unwrap_err();
            assert_eq!(error.to_string(), "it is a symbolic link that belongs to user 12345");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(ControlSocket::bind(file.path()).unwrap_err().to_string(), "it is not a directory");
    }
}
