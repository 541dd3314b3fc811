//! Unix sockets. Their files outlive a process that is killed, so stale ones are replaced.

use std::{
    fs, io,
    os::unix::{
        self,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream, unix::UCred};

use super::place::{BindCause, SocketFile};

/// A program of root can do anything as any user anyway.
const ROOT: u32 = 0;

/// A listening Unix socket.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    /// The socket file, removed on drop, if it was created here.
    file: Option<RemovedOnDrop>,
}

impl UnixSocket {
    /// Wraps an inherited socket. Its creator removes the file.
    pub(crate) fn inherited(listener: UnixListener) -> Self {
        Self { listener, file: None }
    }

    /// The path of the socket, or an empty string if it has none.
    pub(crate) fn path(&self) -> io::Result<String> {
        if let Some(file) = &self.file {
            return Ok(file.0.path.display().to_string());
        }
        let address = self.listener.local_addr()?;
        Ok(address.as_pathname().map(|path| path.display().to_string()).unwrap_or_default())
    }

    /// The socket file, if it was created here.
    pub(crate) fn file(&self) -> Option<BoundFile> {
        self.file.as_ref().map(|file| file.0.clone())
    }

    /// Waits for the next client. Returns its connection, the user that it runs as, and its process (`SO_PEERCRED`).
    pub(crate) async fn accept(&self) -> io::Result<(UnixStream, UCred)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = stream.peer_cred()?;
        Ok((stream, peer))
    }

    /// Waits for the next client that runs as the owner of the socket or as root. Returns its connection and the number of its process;
    /// 0 if the system does not tell. The permissions of the file keep others out. Should they change, a stranger is let go without a word.
    pub(crate) async fn accept_own(&self) -> io::Result<(UnixStream, u32)> {
        loop {
            let (stream, peer) = self.accept().await?;
            let owner = self.file.as_ref().map(|file| file.0.owner);
            if owner == Some(peer.uid()) || peer.uid() == ROOT {
                let process = peer.pid().and_then(|process| u32::try_from(process).ok());
                return Ok((stream, process.unwrap_or_default()));
            }
        }
    }
}

/// Creates the socket, replacing a stale one that nobody listens on.
///
/// The socket is created in a private directory, gets its permissions there and is then renamed, so that at no moment a user can
/// connect who is not allowed to.
pub(crate) async fn bind(file: &SocketFile) -> Result<UnixSocket, BindCause> {
    ensure_free(&file.path).await?;
    // A subdirectory of the same directory, since a rename works only within a file system. Short names, since the length of
    // socket paths is limited.
    let parent = file.path.parent().unwrap_or(Path::new("/"));
    let private = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(4)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(without_temporary_name)?;
    let temporary = private.path().join("s");
    let listener = UnixListener::bind(&temporary)?;
    Ok(UnixSocket { listener, file: Some(put_in_place(file, temporary)?) })
}

/// The error without the name of a temporary file, which `tempfile` adds to it and nobody can look for.
fn without_temporary_name(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path \"") {
        Some((cause, _)) => io::Error::new(error.kind(), cause),
        None => error,
    }
}

/// Sets the permissions of the socket at `temporary` and moves it to its path.
fn put_in_place(file: &SocketFile, temporary: PathBuf) -> io::Result<RemovedOnDrop> {
    let metadata = fs::symlink_metadata(&temporary)?;
    let identity = (metadata.dev(), metadata.ino());
    let (owner, own_group) = (metadata.uid(), metadata.gid());
    let mut bound = BoundFile { path: temporary, identity, owner, own_group };
    bound.change(file)?;
    fs::rename(&bound.path, &file.path)?;
    bound.path.clone_from(&file.path);
    Ok(RemovedOnDrop(bound))
}

/// Fails unless the path is unused or leads to a socket that no process listens on.
async fn ensure_free(path: &Path) -> Result<(), BindCause> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(BindCause::NotASocket),
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // Another user's socket: we are not allowed to connect, but it is in use.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error.into()),
            _ => Err(BindCause::InUse),
        },
    }
}

/// The file of a socket that was created here.
#[derive(Debug, Clone)]
pub(crate) struct BoundFile {
    path: PathBuf,
    /// Device and inode. They show whether another process has put its own socket at the path.
    identity: (u64, u64),
    /// Our own user.
    owner: u32,
    /// The group that it was created with.
    own_group: u32,
}

impl BoundFile {
    /// Reads the file's metadata. Fails if another file is at the path.
    fn metadata(&self) -> io::Result<fs::Metadata> {
        let metadata = fs::symlink_metadata(&self.path)?;
        if (metadata.dev(), metadata.ino()) != self.identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file has its path"));
        }
        Ok(metadata)
    }

    /// Sets the mode and group of `file`. After an error, both are as before.
    pub(crate) fn change(&self, file: &SocketFile) -> io::Result<()> {
        let before = self.metadata()?;
        let group = file.group.unwrap_or(self.own_group);
        // Meanwhile only users can connect who are allowed to before and after.
        let changed = self
            .set_mode(before.mode() & file.mode)
            .and_then(|()| self.set_group(group))
            .and_then(|()| self.set_mode(file.mode));
        if changed.is_err() {
            // Errors here are ignored: the caller gets the first one.
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

/// Removes a socket file when dropped, unless another process has replaced it.
#[derive(Debug)]
struct RemovedOnDrop(BoundFile);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        if self.0.metadata().is_ok() {
            // Errors are ignored: the next process replaces a stale file anyway.
            let _ = fs::remove_file(&self.0.path);
        }
    }
}
