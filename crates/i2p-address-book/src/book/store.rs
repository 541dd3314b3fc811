//! The open file, which is opened again after a failure to write.

use std::{
    fs, io,
    io::Write,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::open;
use crate::error::BookError;

/// How long opening the file again waits for readers.
const READERS_LIMIT: Duration = Duration::from_secs(1);
/// The time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// How much must fit on the disk before the file is closed and opened again.
const PROBE_BYTES: usize = 256 * 1024;

/// The store of a book. After some errors, redb writes nothing more until the file is opened again.
pub(super) struct Store {
    path: PathBuf,
    /// `None` only after the file was closed and could not be opened again.
    database: RwLock<Option<Database>>,
    failed: AtomicBool,
}

/// A transaction that reads. The file stays open as long as it exists.
pub(super) struct Reading<'a> {
    transaction: ReadTransaction,
    _open: RwLockReadGuard<'a, Option<Database>>,
}

impl Deref for Reading<'_> {
    type Target = ReadTransaction;

    fn deref(&self) -> &ReadTransaction {
        &self.transaction
    }
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, BookError> {
        let database = RwLock::new(Some(open::open(path)?));
        Ok(Self { path: path.to_owned(), database, failed: AtomicBool::new(false) })
    }

    pub(super) fn read(&self) -> Result<Reading<'_>, BookError> {
        if self.opened().is_none() {
            self.reopen()?;
        }
        let open = self.opened();
        let transaction = open.as_ref().ok_or(BookError::FailedBefore)?.begin_read()?;
        Ok(Reading { transaction, _open: open })
    }

    /// Changes the store in one transaction, which is committed only if `change` succeeds. If a write has failed before, opens the
    /// file again first.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        if self.has_failed() {
            self.reopen()?;
        }
        let written = self.write_once(change);
        // The store accepts no more transactions after some errors, and tells only when the next one begins.
        if matches!(written, Err(BookError::Storage(_)))
            && matches!(self.write_once(|_| Ok(())), Err(BookError::FailedBefore))
        {
            self.failed.store(true, Relaxed);
        }
        written
    }

    fn write_once<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        let open = self.opened();
        let transaction = open.as_ref().ok_or(BookError::FailedBefore)?.begin_write()?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Whether the last write has failed so that the file has to be opened again.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    fn opened(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the file and opens it again. As long as the disk takes no data, the file stays open as it is, so that names are found.
    fn reopen(&self) -> Result<(), BookError> {
        if !takes_data(&self.path) {
            return Err(BookError::FailedBefore);
        }
        let mut database = self.without_readers().ok_or(BookError::FailedBefore)?;
        // Another thread may have done it.
        if self.has_failed() || database.is_none() {
            // It can be opened once.
            *database = None;
            *database = Some(open::open(&self.path)?);
            self.failed.store(false, Relaxed);
        }
        Ok(())
    }

    /// The store while nobody uses it, which no new reader waits for.
    fn without_readers(&self) -> Option<RwLockWriteGuard<'_, Option<Database>>> {
        let begin = Instant::now();
        loop {
            match self.database.try_write() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begin.elapsed() < READERS_LIMIT => sleep(RETRY_INTERVAL),
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }
}

/// Whether the disk of this file takes new data.
fn takes_data(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push(".probe");
    let probe = PathBuf::from(name);
    let taken = write_probe(&probe);
    // One that could not be created is not there.
    let _ = fs::remove_file(&probe);
    taken.is_ok()
}

fn write_probe(path: &Path) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(&[0; PROBE_BYTES])?;
    file.sync_data()
}
