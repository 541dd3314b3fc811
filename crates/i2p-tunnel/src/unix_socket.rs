//! Unix sockets: files that outlive the process that made them, if it is killed.

use std::{
    fs, io,
    os::unix::{
        self,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use crate::listener::BindCause;

/// Permissions where nothing else is said: for the user that we run as.
const FOR_US_ALONE: u32 = 0o600;

/// A Unix socket to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketFile {
    /// Where.
    pub path: PathBuf,
    /// Its permissions, as chmod(2) has them: who may write may connect.
    pub mode: u32,
    /// The group that it belongs to, by number; none: ours.
    pub group: Option<u32>,
}

impl SocketFile {
    /// A socket that only the user that we run as can connect to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: FOR_US_ALONE, group: None }
    }
}

/// A listening Unix socket.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    /// Removed when the listening ends, if it is ours.
    file: Option<OwnFile>,
}

impl UnixSocket {
    /// One that somebody else made, and removes.
    pub(crate) fn inherited(listener: UnixListener) -> Self {
        Self { listener, file: None }
    }

    /// Its path; a socket without one has an empty path.
    pub(crate) fn path(&self) -> io::Result<String> {
        if let Some(file) = &self.file {
            return Ok(file.path.display().to_string());
        }
        let address = self.listener.local_addr()?;
        Ok(address.as_pathname().map(|path| path.display().to_string()).unwrap_or_default())
    }

    /// The next client, and the user that it runs as (`SO_PEERCRED`).
    pub(crate) async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        Ok((stream, user))
    }
}

/// Makes the socket in the place of one that nobody listens at.
///
/// It gets its name when it has its permissions, so that at no moment anybody can connect who may not.
pub(crate) async fn bind(file: &SocketFile) -> Result<UnixSocket, BindCause> {
    is_free(&file.path).await?;
    // In the same directory, since only there it can be renamed; short, since paths of sockets are.
    let making = file.path.with_file_name(format!(".{}", std::process::id()));
    remove(&making)?;
    let listener = UnixListener::bind(&making)?;
    let named = prepare(file, &making);
    if named.is_err() {
        // What is said is why it cannot be used.
        let _ = fs::remove_file(&making);
    }
    Ok(UnixSocket { listener, file: Some(named?) })
}

fn prepare(file: &SocketFile, making: &Path) -> io::Result<OwnFile> {
    if let Some(group) = file.group {
        unix::fs::chown(making, None, Some(group))?;
    }
    fs::set_permissions(making, fs::Permissions::from_mode(file.mode))?;
    fs::rename(making, &file.path)?;
    let metadata = fs::symlink_metadata(&file.path)?;
    Ok(OwnFile { path: file.path.clone(), identity: (metadata.dev(), metadata.ino()) })
}

/// Whether the path leads to nothing, or to a socket whose process is dead.
async fn is_free(path: &Path) -> Result<(), BindCause> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(BindCause::NotASocket),
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // It may not be ours to connect to, and is somebody's all the same.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error.into()),
            _ => Err(BindCause::InUse),
        },
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A socket's file, as long as the socket is ours.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own socket there.
    identity: (u64, u64),
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            // Whoever comes next replaces it anyway.
            let _ = fs::remove_file(&self.path);
        }
    }
}
