//! Opens the file of the address book, which one process at a time can do.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use i2p_address_book::{AddressBook, BookError};

/// How long to wait for other commands that have the file open. Most need less than a second.
const IN_USE_LIMIT: Duration = Duration::from_secs(10);
/// How long a new file may be empty until the process that creates it has written to it.
const EMPTY_LIMIT: Duration = Duration::from_secs(2);
/// The time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Opens the book, or creates it. Waits while another process has it open. Blocks.
///
/// An empty file is no book: it was cut off, and the names in it are lost. It is kept aside, and a new book is begun.
pub(super) fn open(path: &Path) -> Result<AddressBook, BookError> {
    keep_empty_file_aside(path).map_err(|source| BookError::Open { path: path.into(), source })?;
    let begin = Instant::now();
    loop {
        match AddressBook::open(path) {
            Err(BookError::InUse { .. }) if begin.elapsed() < IN_USE_LIMIT => sleep(RETRY_INTERVAL),
            opened => return opened,
        }
    }
}

/// Renames an empty file, and says so.
fn keep_empty_file_aside(path: &Path) -> io::Result<()> {
    let begin = Instant::now();
    while is_empty(path) {
        if begin.elapsed() < EMPTY_LIMIT {
            sleep(RETRY_INTERVAL);
            continue;
        }
        let file = File::open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Only the process with the lock renames it, and so nobody renames the new file of another process.
        if is_same_file(&file, path)? && is_empty(path) {
            let aside = free_name(path);
            fs::rename(path, &aside)?;
            tracing::warn!(
                "the address book {} was an empty file: its names are lost, and with them which destination each name had first. A \
                 new address book is begun. To have names again, import a copy with i2p-socks names import. The empty file is kept \
                 as {}",
                path.display(),
                aside.display()
            );
        }
        return Ok(());
    }
    Ok(())
}

fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0)
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let (opened, found) = (file.metadata()?, fs::metadata(path)?);
    Ok((opened.dev(), opened.ino()) == (found.dev(), found.ino()))
}

/// A file that is open cannot be renamed there.
#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// A name beside the file that no file has.
fn free_name(path: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".empty-{number}"));
        let name = PathBuf::from(name);
        if !name.exists() {
            return name;
        }
        number = number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_kept_aside_each_time_and_a_new_book_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names.redb");
        for number in 1..=2 {
            fs::write(&path, "").unwrap();
            drop(open(&path).unwrap());
            let aside = directory.path().join(format!("names.redb.empty-{number}"));
            assert_eq!(fs::read(aside).unwrap(), b"");
        }
        drop(open(&path).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_another_process_is_creating_is_not_taken_for_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names.redb");
        fs::write(&path, "").unwrap();
        let creates = std::thread::spawn({
            let path = path.clone();
            move || {
                sleep(2 * RETRY_INTERVAL);
                let book = AddressBook::open(path).unwrap();
                sleep(2 * RETRY_INTERVAL);
                drop(book);
            }
        });
        drop(open(&path).unwrap());
        creates.join().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
