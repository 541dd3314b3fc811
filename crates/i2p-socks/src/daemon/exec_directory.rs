//! The sockets through which `i2p-socks exec` uses this proxy: one for each tunnel that serves SOCKS, in a folder of the state directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use i2p_tunnel::Listeners;

use crate::config::tunnel::TunnelConfig;

/// The folder's name.
const FOLDER: &str = "exec-sockets";

/// The folder, which only our own user can enter. It is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct ExecDirectory(Option<PathBuf>);

impl ExecDirectory {
    /// Without a folder, no program can use this proxy by `exec`.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Creates the folder in the state directory, if this process has one. Sockets that a killed process has left there are removed.
    pub(crate) fn open(state_dir: Option<&Path>) -> Self {
        if !cfg!(target_os = "linux") {
            return Self::none();
        }
        let Some(folder) = state_dir.map(|state_dir| state_dir.join(FOLDER)) else { return Self::none() };
        match make_empty(&folder) {
            Ok(()) => Self(Some(folder)),
            Err(error) => {
                tracing::warn!(
                    "cannot use {}: {error}. i2p-socks exec cannot use this proxy: remove that file or folder, and restart the proxy",
                    folder.display()
                );
                Self::none()
            }
        }
    }

    /// The socket of a tunnel. `None`: it serves no programs of `exec`.
    pub(super) fn path_of(&self, tunnel: &TunnelConfig) -> Option<PathBuf> {
        let folder = self.0.as_ref().filter(|_| tunnel.serves_contained_programs())?;
        Some(folder.join(format!("{}.sock", tunnel.name())))
    }

    /// Listens on the socket of a tunnel. A failure is warned of: clients of other kinds are served all the same.
    pub(super) async fn bind(&self, tunnel: &TunnelConfig) -> Option<(PathBuf, Listeners)> {
        let path = self.path_of(tunnel)?;
        #[cfg(unix)]
        match Listeners::bind_for_contained_programs(&path).await {
            Ok(listeners) => return Some((path, listeners)),
            Err(error) => tracing::warn!(
                "{error}. i2p-socks exec cannot use tunnel {}: choose a state directory with a shorter path, with --state-dir DIR",
                tunnel.name()
            ),
        }
        None
    }
}

/// The state directory belongs to this process alone, so whatever socket is in the folder is a leftover.
fn make_empty(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_folder(folder) => {}
        created => return created,
    }
    #[cfg(unix)]
    for file in fs::read_dir(folder)? {
        let file = file?;
        if std::os::unix::fs::FileTypeExt::is_socket(&file.file_type()?) {
            fs::remove_file(file.path())?;
        }
    }
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

impl Drop for ExecDirectory {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // The next process removes leftovers.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    };

    use super::*;

    #[test]
    fn leftovers_are_removed_and_a_link_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        drop(UnixListener::bind(folder.join("gone.sock")).unwrap());
        fs::write(folder.join("mine"), "").unwrap();
        let opened = ExecDirectory::open(Some(temp.path()));
        assert!(!folder.join("gone.sock").exists());
        fs::remove_file(folder.join("mine")).expect("it is not touched");
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        drop(opened);
        assert!(!folder.exists());
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("precious"), "").unwrap();
        symlink(elsewhere.path(), &folder).unwrap();
        assert!(ExecDirectory::open(Some(temp.path())).0.is_none());
        assert!(elsewhere.path().join("precious").exists());
    }
}
