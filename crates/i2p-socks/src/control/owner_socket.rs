//! Unix sockets that only the program's own user can open.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tokio::net::UnixListener;

use crate::files::without_temporary_name;

/// Listens at a path, and replaces any file there. The socket is created in a private directory, gets mode 0600, and is moved to
/// its path only then, so another user can never connect. Must be called within a tokio runtime.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let private = tempfile::Builder::new()
        .prefix(".s")
        .rand_bytes(4)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(without_temporary_name)?;
    let new = private.path().join("s");
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}
