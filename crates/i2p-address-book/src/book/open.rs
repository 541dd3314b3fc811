use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use redb::{Builder, Database, DatabaseError, StorageError, backends::FileBackend};

use crate::error::BookError;

/// Bytes of memory for cached pages of the store.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Opens the store, and creates the file and its directory if they do not exist. Every page is checked, because redb would
/// panic later on a damaged one. A new file that cannot be filled, such as on a full disk, is removed: it would be taken for a
/// damaged one.
pub(super) fn open(path: &Path) -> Result<Database, BookError> {
    let (file, is_new) = open_file(path).map_err(|source| BookError::Open { path: path.into(), source })?;
    let opened = open_database(file, path);
    if is_new && opened.is_err() {
        // Where that fails, too, the error tells why the book cannot be used.
        let _ = fs::remove_file(path);
    }
    opened
}

fn open_database(file: File, path: &Path) -> Result<Database, BookError> {
    let opened = FileBackend::new(file).and_then(|backend| {
        Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
    });
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => BookError::InUse { path: path.into() },
        DatabaseError::Storage(StorageError::Io(source)) if !is_about_content(&source) => {
            BookError::Open { path: path.into(), source }
        }
        error => BookError::Damaged { path: path.into(), source: Box::new(error) },
    })
}

/// Whether redb returns this error for a file that is not its own or is truncated.
fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Opens or creates the file, readable by its owner only: the names that the user knows reveal whom the user talks to. Also
/// returns whether it is new.
fn open_file(path: &Path) -> io::Result<(File, bool)> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        create_directory(directory)?;
    }
    // Opening something else, such as a pipe, could block.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => return Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok((file, false))
}

fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
