#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It cannot be created or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else, such as a file.
    #[error("it is not a directory")]
    NotADirectory,
    /// It belongs to another user.
    #[error("it belongs to user {owner}")]
    Owner {
        /// The numeric user ID of its owner.
        owner: u32,
    },
    /// It is a symbolic link that belongs to a user other than this one and root.
    #[error("it is a symbolic link that belongs to user {owner}")]
    LinkOwner {
        /// The numeric user ID of the link's owner.
        owner: u32,
    },
    /// Its group or all users can write to it.
    #[error("other users can write to it (chmod 700 prevents that)")]
    WritableByOthers,
}

/// Returns the directory that `path` leads to, with links followed. Creates it with mode 0700 if nothing is there. Blocks.
///
/// # Errors
/// [`DirectoryError`] if another user could read or replace what is put there.
pub fn open(path: &Path) -> Result<PathBuf, DirectoryError> {
    open_as(path, us())
}

fn open_as(path: &Path, user: u32) -> Result<PathBuf, DirectoryError> {
    match fs::symlink_metadata(path) {
        Ok(link) if link.is_symlink() => check_link(&link, user)?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(error.into()),
    }
    let real = fs::canonicalize(path)?;
    let found = fs::metadata(&real)?;
    if !found.is_dir() {
        return Err(DirectoryError::NotADirectory);
    }
    check_directory(&found, user)?;
    Ok(real)
}

/// Checks whether [`open`] would return this directory, and whether this process can then create files in it. Leaves nothing behind.
/// Blocks.
///
/// Root examines the directory of another user as that user: whether a program of that user could open it and create files in it.
///
/// # Errors
/// The [`DirectoryError`] of [`open`], or the reason why no file can be created.
pub fn check(path: &Path) -> Result<(), DirectoryError> {
    match fs::symlink_metadata(path) {
        Ok(_) => {
            let user = examined_user(path);
            let real = open_as(path, user)?;
            check_rights_of_owner(&real, user)?;
            check_access(&real).map_err(DirectoryError::from)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_creation(path),
        Err(error) => Err(error.into()),
    }
}

/// Checks whether directories can be created in the nearest one above that exists.
fn check_creation(path: &Path) -> Result<(), DirectoryError> {
    let mut above = path.ancestors().skip(1).filter(|above| above.symlink_metadata().is_ok());
    let nearest = above.next().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !fs::metadata(nearest)?.is_dir() {
        return Err(DirectoryError::Io(io::ErrorKind::NotADirectory.into()));
    }
    check_access(nearest).map_err(DirectoryError::from)
}

/// The user as whom this process examines a directory: root as its owner, others as themselves.
#[cfg(unix)]
fn examined_user(directory: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;

    match (us(), fs::metadata(directory)) {
        (0, Ok(found)) => found.uid(),
        (us, _) => us,
    }
}

#[cfg(not(unix))]
fn examined_user(_: &Path) -> u32 {
    us()
}

/// Checks whether the owner of a directory can create something in it, if that is another user than this one, who is root and has all
/// permissions. Directories above are not checked: with systemd's `DynamicUser=`, a service reaches its own past one that is root's.
#[cfg(unix)]
fn check_rights_of_owner(directory: &Path, owner: u32) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let needed = 0o300;
    match owner == us() || fs::metadata(directory)?.mode() & needed == needed {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

#[cfg(not(unix))]
fn check_rights_of_owner(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Checks whether this process can create something in a directory.
#[cfg(unix)]
fn check_access(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};

    access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
    check_file_system(directory)
}

/// Checks whether the file system lets programs create something. Those of the kernel, such as `/proc`, do not, and root has all
/// permissions there.
#[cfg(target_os = "linux")]
fn check_file_system(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};

    // A file without a name, which ends with this function.
    if open(directory, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR).is_ok() {
        return Ok(());
    }
    // Not every file system has such files.
    let probe = directory.join(format!(".check-{}", std::process::id()));
    match create(&probe) {
        Ok(()) => fs::remove_dir(probe),
        Err(error) => Err(error),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn check_file_system(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn check_access(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check_link(link: &Metadata, user: u32) -> Result<(), DirectoryError> {
    use std::os::unix::fs::MetadataExt;

    match link.uid() {
        owner if owner == 0 || owner == user => Ok(()),
        owner => Err(DirectoryError::LinkOwner { owner }),
    }
}

#[cfg(unix)]
fn check_directory(found: &Metadata, user: u32) -> Result<(), DirectoryError> {
    use std::os::unix::fs::MetadataExt;

    if found.uid() != user {
        return Err(DirectoryError::Owner { owner: found.uid() });
    }
    if found.mode() & 0o022 != 0 {
        return Err(DirectoryError::WritableByOthers);
    }
    Ok(())
}

#[cfg(unix)]
fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|error| match error.kind() {
        // All directories above are there by now.
        io::ErrorKind::NotFound => io::Error::other("nothing can be created in this place"),
        _ => error,
    })
}

/// Users are not compared there.
#[cfg(not(unix))]
fn us() -> u32 {
    0
}

#[cfg(not(unix))]
fn check_link(_: &Metadata, _: u32) -> Result<(), DirectoryError> {
    Ok(())
}

#[cfg(not(unix))]
fn check_directory(_: &Metadata, _: u32) -> Result<(), DirectoryError> {
    Ok(())
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    /// A user who is not the one of this test.
    const OTHER: u32 = 12_345;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_missing_directory_is_created_for_this_user_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("parent/state");
        assert_eq!(open(&path).unwrap(), fs::canonicalize(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        open(&path).unwrap();
    }

    #[test]
    fn a_check_creates_nothing_and_refuses_what_open_refuses() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("a/b");
        check(&missing).unwrap();
        assert!(!temp.path().join("a").exists());
        fs::write(temp.path().join("file"), "").unwrap();
        for below in ["file", "file/b"] {
            assert!(check(&temp.path().join(below)).is_err(), "{below}");
        }
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(check(temp.path()), Err(DirectoryError::WritableByOthers)));
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o500)).unwrap();
        // Root can write everywhere.
        let is_root = us() == 0;
        assert_eq!((check(temp.path()).is_ok(), check(&missing).is_ok()), (is_root, is_root));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_nothing_can_be_created_is_found_before() {
        for place in ["/proc/state", "/proc/self/fd"] {
            let refused = check(Path::new(place)).unwrap_err().to_string();
            assert!(!refused.contains("No such file"), "{place}: {refused}");
        }
        assert_eq!(
            check(Path::new("/proc/state")).unwrap_err().to_string(),
            open(Path::new("/proc/state")).unwrap_err().to_string(),
            "as when it is opened"
        );
    }

    #[test]
    fn our_own_link_is_followed() {
        let temp = tempfile::tempdir().unwrap();
        let (real, link) = (temp.path().join("real"), temp.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(open(&link).unwrap(), fs::canonicalize(&real).unwrap());
        fs::remove_dir(&real).unwrap();
        assert!(matches!(open(&link), Err(DirectoryError::Io(_))), "a link that leads nowhere");
    }

    #[test]
    fn what_others_can_write_to_and_what_is_no_directory_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        for (bits, refused) in [(0o755, false), (0o775, true), (0o702, true)] {
            fs::set_permissions(temp.path(), fs::Permissions::from_mode(bits)).unwrap();
            let opened = open(temp.path());
            assert_eq!(matches!(opened, Err(DirectoryError::WritableByOthers)), refused, "{bits:o}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open(file.path()), Err(DirectoryError::NotADirectory)));
    }

    /// Only root can give something away. Every user can find a directory that belongs to root.
    #[test]
    fn another_users_directory_or_link_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        if us() != 0 {
            assert!(matches!(open(Path::new("/")), Err(DirectoryError::Owner { owner: 0 })));
            return;
        }
        let (path, link) = (temp.path().join("state"), temp.path().join("link"));
        fs::create_dir(&path).unwrap();
        symlink(&path, &link).unwrap();
        lchown(&link, Some(OTHER), None).unwrap();
        assert!(matches!(open(&link), Err(DirectoryError::LinkOwner { owner: OTHER })));
        lchown(&path, Some(OTHER), None).unwrap();
        assert!(matches!(open(&path), Err(DirectoryError::Owner { owner: OTHER })));
    }

    /// Only root can give something away, and only root examines what belongs to another user as that user.
    #[test]
    fn root_examines_the_directory_of_another_user_as_that_user() {
        if us() != 0 {
            assert!(matches!(check(Path::new("/")), Err(DirectoryError::Owner { owner: 0 })));
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let (path, link) = (temp.path().join("state"), temp.path().join("link"));
        fs::create_dir(&path).unwrap();
        lchown(&path, Some(OTHER), None).unwrap();
        symlink(&path, &link).unwrap();
        for (bits, usable) in [(0o700, true), (0o755, true), (0o500, false), (0o770, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!((check(&path).is_ok(), check(&link).is_ok()), (usable, usable), "{bits:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        lchown(&link, Some(OTHER + 1), None).unwrap();
        assert!(matches!(check(&link), Err(DirectoryError::LinkOwner { owner }) if owner == OTHER + 1));
    }
}
