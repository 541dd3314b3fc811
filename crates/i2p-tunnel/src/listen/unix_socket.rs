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

use super::place::{BindCause, SocketFile};

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
            return Ok(file.0.path.display().to_string());
        }
        let address = self.listener.local_addr()?;
        Ok(address.as_pathname().map(|path| path.display().to_string()).unwrap_or_default())
    }

    /// Its file, if it was made here.
    pub(crate) fn file(&self) -> Option<BoundFile> {
        self.file.as_ref().map(|file| file.0.clone())
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
/// It is made where nobody else gets and put in its place when it has its permissions, so that at no moment anybody can connect
/// who may not.
pub(crate) async fn bind(file: &SocketFile) -> Result<UnixSocket, BindCause> {
    is_free(&file.path).await?;
    // In the same directory, since only there it can be renamed; short, since paths of sockets are.
    let parent = file.path.parent().unwrap_or(Path::new("/"));
    let private = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(4)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)?;
    let making = private.path().join("s");
    let listener = UnixListener::bind(&making)?;
    Ok(UnixSocket { listener, file: Some(prepare(file, making)?) })
}

fn prepare(file: &SocketFile, making: PathBuf) -> io::Result<OwnFile> {
    let metadata = fs::symlink_metadata(&making)?;
    let identity = (metadata.dev(), metadata.ino());
    let mut made = BoundFile { path: making, identity, own_group: metadata.gid() };
    made.change(file)?;
    fs::rename(&made.path, &file.path)?;
    made.path.clone_from(&file.path);
    Ok(OwnFile(made))
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

/// The file of a socket that was made here.
#[derive(Debug, Clone)]
pub(crate) struct BoundFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own socket there.
    identity: (u64, u64),
    /// The group that it belongs to where no other is asked for.
    own_group: u32,
}

impl BoundFile {
    /// What the file system says of it, if it is there still.
    fn metadata(&self) -> io::Result<fs::Metadata> {
        let metadata = fs::symlink_metadata(&self.path)?;
        if (metadata.dev(), metadata.ino()) != self.identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file is in its place"));
        }
        Ok(metadata)
    }

    /// Lets in whom `file` lets in. After an error, all is as before.
    pub(crate) fn change(&self, file: &SocketFile) -> io::Result<()> {
        let before = self.metadata()?;
        let group = file.group.unwrap_or(self.own_group);
        // In between, only those may connect who may before and after.
        let changed = self
            .set_mode(before.mode() & file.mode)
            .and_then(|()| self.set_group(group))
            .and_then(|()| self.set_mode(file.mode));
        if changed.is_err() {
            // What is said is why it cannot be changed.
            let _ = self.set_group(before.gid());
            let _ = self.set_mode(before.mode());
        }
        changed
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode & 0o7777))
    }

    fn set_group(&self, group: u32) -> io::Result<()> {
        unix::fs::lchown(&self.path, None, Some(group))
    }
}

/// A socket's file, as long as the socket is ours.
#[derive(Debug)]
struct OwnFile(BoundFile);

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.0.metadata().is_ok() {
            // Whoever comes next replaces it anyway.
            let _ = fs::remove_file(&self.0.path);
        }
    }
}
