use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use redb::{Builder, Database, DatabaseError, StorageError, backends::FileBackend};

use crate::BookError;

/// Memory for pages of the store, in bytes.
const CACHE: usize = 16 * 1024 * 1024;

/// Opens the store, and makes it with its directory if need be. Every page is checked, since redb would panic over a
/// damaged one later.
pub(super) fn open(path: &Path) -> Result<Database, BookError> {
    let file = open_file(path).map_err(|source| BookError::Open { path: path.into(), source })?;
    let opened = FileBackend::new(file).and_then(|backend| {
        Builder::new().set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(backend)
    });
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => BookError::InUse { path: path.into() },
        DatabaseError::Storage(StorageError::Io(source)) if !is_about_content(&source) => {
            BookError::Open { path: path.into(), source }
        }
        error => BookError::Damaged { path: path.into(), source: Box::new(error) },
    })
}

/// Errors that redb gives for a file that is none of its own, or ends too early.
fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The names somebody knows tell whom they talk to: nobody else reads the file.
fn open_file(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        make_directory(directory)?;
    }
    // Something that is no file, a pipe for one, would block.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(file)
}

fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
