//! Unix sockets for the user that the program runs as, and nobody else.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tokio::net::UnixListener;

/// Listens at a path, in place of what is there. The socket is made in a directory of ours alone, gets mode 0600, and is moved
/// to its path only then: at no time can another user connect. Must be called within a tokio runtime.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let private = tempfile::Builder::new()
        .prefix(".s")
        .rand_bytes(4)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)?;
    let new = private.path().join("s");
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}
