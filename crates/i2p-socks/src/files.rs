//! Files: read up to a limit, and written whole or not at all; who owns them, and who we are.
//! Imports nothing of this crate.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    path::Path,
};

/// The user that owns a file or directory, if it is another one than ours.
#[cfg(unix)]
pub(crate) fn other_owner(path: &Path) -> Option<u32> {
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).ok()?);
    (owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

/// Owners are not compared there.
#[cfg(not(unix))]
pub(crate) fn other_owner(_: &Path) -> Option<u32> {
    None
}

/// The user that the program runs as.
#[cfg(unix)]
pub(crate) fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Users are not compared there.
#[cfg(not(unix))]
pub(crate) fn own_user() -> Option<u32> {
    None
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The system refused it.
    Io(io::Error),
    /// It holds more than the program accepts. A device such as `/dev/zero` ends here, too.
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// It holds something else than text.
    NotText,
}

impl ReadError {
    /// Whether there is no such file.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1024 * 1024;
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::TooLarge { max_bytes } if max_bytes % MIB == 0 => {
                write!(f, "it is larger than {} MiB", max_bytes / MIB)
            }
            Self::TooLarge { max_bytes } => write!(f, "it is larger than {max_bytes} bytes"),
            Self::NotText => f.write_str("it is not UTF-8 text"),
        }
    }
}

/// The bytes of a file, appended to `contents`. With room for `max_bytes` + 1 there, no copy of a secret stays behind in memory.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn read_into(contents: &mut Vec<u8>, path: &Path, max_bytes: u64) -> Result<(), ReadError> {
    let file = fs::File::open(path).map_err(ReadError::Io)?;
    let length = file.take(max_bytes + 1).read_to_end(contents).map_err(ReadError::Io)?;
    if length as u64 > max_bytes { Err(ReadError::TooLarge { max_bytes }) } else { Ok(()) }
}

/// The bytes of a file.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut contents = Vec::new();
    read_into(&mut contents, path, max_bytes)?;
    Ok(contents)
}

/// The text of a file that a person may have written, [without its mark](without_mark).
///
/// # Errors
/// [`ReadError`].
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> Result<String, ReadError> {
    let contents = read(path, max_bytes)?;
    text_of(&contents).map(str::to_owned)
}

/// The text in the contents of a file that a person may have written, [without its mark](without_mark).
///
/// # Errors
/// [`ReadError::NotText`].
pub(crate) fn text_of(contents: &[u8]) -> Result<&str, ReadError> {
    str::from_utf8(without_mark(contents)).map_err(|_| ReadError::NotText)
}

/// Contents without the byte order mark with which some editors, and PowerShell, begin a file. Only `i2p-address-book` strips it a second
/// time: it reads feeds line by line from the network, without a limit to the whole.
pub(crate) fn without_mark(contents: &[u8]) -> &[u8] {
    contents.strip_prefix("\u{feff}".as_bytes()).unwrap_or(contents)
}

/// Replaces the contents of a file (mode 0600). A reader sees the old contents or the new, never half.
///
/// # Errors
/// The system refused it; then the file is as it was.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))
        .map_err(without_temporary_name)?;
    file.write_all(contents)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The error without the name of a temporary file, which `tempfile` adds to it and nobody can look for.
pub(crate) fn without_temporary_name(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path \"") {
        Some((cause, _)) => io::Error::new(error.kind(), cause),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_no_further() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let error = read(&path, 5).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert_eq!(read_text(&path, 4).unwrap_err().to_string(), "it is larger than 4 bytes");
        fs::write(&path, "\u{feff}1\u{feff}").unwrap();
        assert_eq!(read_text(&path, 7).unwrap(), "1\u{feff}", "only the first mark is none of the text");
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path, 4).unwrap_err().to_string(), "it is not UTF-8 text");
        #[cfg(target_os = "linux")]
        {
            let error = read(Path::new("/dev/zero"), 1024 * 1024).unwrap_err();
            assert_eq!(error.to_string(), "it is larger than 1 MiB");
        }
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for contents in ["first, and longer", "second"] {
            replace(&path, contents.as_bytes()).unwrap();
            assert_eq!(read_text(&path, 100).unwrap(), contents);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        let error = replace(&directory.path().join("missing/file"), b"").unwrap_err();
        assert!(error.to_string().ends_with("(os error 2)"), "{error}");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
