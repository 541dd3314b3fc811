//! The control socket: one in a state directory, its owner's alone.

use std::{
    fmt,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::{SOCKET, server::Accept};

/// Locked by whoever serves the socket: with the lock, what is left of a socket is nobody's.
const LOCK: &str = "control.lock";

/// Why there is no control socket.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// Another process has the state directory.
    InUse,
    /// The directory cannot be used, or does not belong to us alone.
    Directory(String),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another i2p-socks runs with it"),
            Self::Directory(why) => f.write_str(why),
        }
    }
}

/// The right to serve the socket of a state directory. The socket goes away with this value.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Let go of after the socket is gone.
    _lock: File,
}

impl ControlSocket {
    /// Makes the state directory if it is not there (mode 0700), and the socket in it (mode 0600). Has to be called within a
    /// tokio runtime.
    pub(crate) fn bind(state_dir: &Path) -> Result<(Self, UnixListener), SocketError> {
        let cannot = |error: io::Error| SocketError::Directory(error.to_string());
        own(state_dir)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(state_dir.join(LOCK))
            .map_err(cannot)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SocketError::InUse,
            TryLockError::Error(error) => cannot(error),
        })?;
        // Bound where nobody else gets before its mode is set, and then put in the place of what a dead process has left.
        let private = tempfile::Builder::new().prefix(".c").rand_bytes(4).tempdir_in(state_dir);
        let private = private.map_err(cannot)?;
        let new = private.path().join("s");
        let listener = UnixListener::bind(&new).map_err(cannot)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600)).map_err(cannot)?;
        let path = state_dir.join(SOCKET);
        fs::rename(&new, &path).map_err(cannot)?;
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
        // What stays is found to be nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Makes the directory if it is not there. It has to be ours, and nobody else may be able to put files into it.
fn own(state_dir: &Path) -> Result<(), SocketError> {
    let cannot = |error: io::Error| SocketError::Directory(error.to_string());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => SocketError::Directory("it is no directory".into()),
            _ => cannot(error),
        }
    })?;
    let found = fs::metadata(state_dir).map_err(cannot)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(SocketError::Directory(format!("it belongs to user {}", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(SocketError::Directory("others can write into it (chmod 700 helps)".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_is_ours_alone_and_the_only_one() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/state");
        let first = ControlSocket::bind(&dir).unwrap();
        assert_eq!((mode(&dir), mode(&dir.join(SOCKET))), (0o700, 0o600));
        assert!(matches!(ControlSocket::bind(&dir), Err(SocketError::InUse)));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "the socket and the lock");
        UnixStream::connect(dir.join(SOCKET)).await.unwrap();
        drop(first);
        assert!(!dir.join(SOCKET).exists());
        // What a killed process leaves: a socket that nobody listens to.
        drop(std::os::unix::net::UnixListener::bind(dir.join(SOCKET)).unwrap());
        assert!(UnixStream::connect(dir.join(SOCKET)).await.is_err());
        let _second = ControlSocket::bind(&dir).unwrap();
        UnixStream::connect(dir.join(SOCKET)).await.unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_others_write_into_is_not_used() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o777)).unwrap();
        let error = ControlSocket::bind(temp.path()).unwrap_err();
        assert!(error.to_string().contains("others can write into it"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(ControlSocket::bind(file.path()).unwrap_err().to_string(), "it is no directory");
    }
}
