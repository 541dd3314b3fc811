//! The book itself.

mod apply;
mod bounded;
mod import;
mod ledger;
mod open;
mod record;
mod subscriptions;

use std::{
    fmt,
    io::Write,
    ops::Bound,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use i2p_name::{B32, Destination, HostName};
use redb::{Database, ReadableDatabase, ReadableTableMetadata};

pub use self::subscriptions::FeedState;
use self::{
    ledger::{CONFLICT_ORDER, CONFLICTS, ENTRIES, Ledger, NoRoom, REVERSE, host_name},
    record::{Reader, Record},
};
use crate::{BookError, Source, feed::Entry};

/// How much an address book takes. The file has some 1,500 bytes for each name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names in the book. Default: 1,000,000.
    pub max_entries: u64,
    /// Names that one source may bring. Default: 250,000.
    pub max_entries_per_source: u64,
    /// Bytes of one import; what is beyond is not read. Default: 64 MiB, enough for 100,000 names.
    pub max_import_bytes: u64,
    /// Conflicts that are remembered; the oldest go first. Default: 10,000.
    pub max_conflicts: u64,
    /// Removed names that are remembered, so that no feed brings them back; the oldest go first. Default: 100,000.
    pub max_removed: u64,
    /// Feeds that are subscribed to. What is known of feeds is kept for twice as many. Default: 100.
    pub max_subscriptions: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_entries_per_source: 250_000,
            max_import_bytes: 64 * 1024 * 1024,
            max_conflicts: 10_000,
            max_removed: 100_000,
            max_subscriptions: 100,
        }
    }
}

/// A name in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookEntry {
    /// The name.
    pub host: HostName,
    /// What it stands for, at least one: the best signature type first, which is what a lookup gives.
    pub destinations: Vec<Destination>,
    /// Where it came from.
    pub source: Source,
    /// When, to the second.
    pub added: SystemTime,
}

/// Somebody wanted another destination for a name that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The name.
    pub host: HostName,
    /// What it stood for then.
    pub kept: Destination,
    /// What it should have stood for.
    pub offered: Destination,
    /// Who offered it first.
    pub source: Source,
    /// When that was, to the second.
    pub at: SystemTime,
}

/// An address book in a file.
///
/// One process has it open at a time. All methods block on the disk; lookups never wait for a writer.
pub struct AddressBook {
    database: Database,
    limits: Limits,
}

impl AddressBook {
    /// Opens the book at `path`, with the default [`Limits`]. Makes it, and its directory, if it is not there.
    ///
    /// Nobody but its owner can read the file (mode 0600; a new directory: 0700). It is checked from its start to its
    /// end.
    ///
    /// # Errors
    /// [`BookError::Open`], [`BookError::InUse`], [`BookError::Damaged`], [`BookError::Format`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BookError> {
        Self::open_with(path, Limits::default())
    }

    /// [`AddressBook::open`] with limits. Entries beyond them stay.
    ///
    /// # Errors
    /// As [`AddressBook::open`].
    pub fn open_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self, BookError> {
        let book = Self { database: open::open(path.as_ref())?, limits };
        // The first transaction makes the tables, so that readers find them, and looks at the format.
        book.write(|_| Ok(()))?;
        Ok(book)
    }

    /// The destination of a name.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn lookup(&self, host: &HostName) -> Result<Option<Destination>, BookError> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        match table.get(host.as_str())? {
            Some(bytes) => Record::first_destination(bytes.value()).map(Some).ok_or(BookError::DamagedEntry),
            None => Ok(None),
        }
    }

    /// All that is known of a name.
    ///
    /// # Errors
    /// As [`AddressBook::lookup`].
    pub fn entry(&self, host: &HostName) -> Result<Option<BookEntry>, BookError> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        table.get(host.as_str())?.map(|bytes| book_entry(host.clone(), bytes.value())).transpose()
    }

    /// The names of a destination, in the order of the alphabet, at most `limit`.
    ///
    /// # Errors
    /// As [`AddressBook::lookup`].
    pub fn names_of(&self, destination: &B32, limit: usize) -> Result<Vec<HostName>, BookError> {
        let table = self.database.begin_read()?.open_table(REVERSE)?;
        ledger::names_of(&table, destination, None, limit)
    }

    /// How many names there are.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn len(&self) -> Result<u64, BookError> {
        Ok(self.database.begin_read()?.open_table(ENTRIES)?.len()?)
    }

    /// Whether there is no name.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn is_empty(&self) -> Result<bool, BookError> {
        self.len().map(|length| length == 0)
    }

    /// At most `limit` entries whose names start with `prefix` and come after `after`, in the order of the alphabet.
    /// The last name of one page is the `after` of the next.
    ///
    /// # Errors
    /// As [`AddressBook::lookup`].
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<BookEntry>, BookError> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        let start = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut entries = Vec::new();
        for item in table.range::<&str>((start, Bound::Unbounded))? {
            let (host, bytes) = item?;
            if entries.len() >= limit || !host.value().starts_with(prefix) {
                break;
            }
            entries.push(book_entry(host_name(host.value().as_bytes())?, bytes.value())?);
        }
        Ok(entries)
    }

    /// Adds a name by hand, or confirms one that is there: no feed changes it from then on.
    ///
    /// # Errors
    /// [`BookError::NameTaken`] if the name stands for another destination, [`BookError::Full`],
    /// [`BookError::Storage`].
    pub fn add(&self, host: &HostName, destination: &Destination) -> Result<(), BookError> {
        self.write(|ledger| {
            let record = Record::new(destination.clone(), Source::Hand, ledger.now, 0);
            match ledger.get(host)? {
                None => add(ledger, host, &record),
                Some(old) if old.has(destination) => ledger.change(host, &old, &record),
                Some(_) => Err(BookError::NameTaken),
            }
        })
    }

    /// Adds a name by hand, in place of what is there, and settles the conflicts about it. Lines of feeds that still
    /// have the old destination are superseded from then on, and no conflict.
    ///
    /// # Errors
    /// [`BookError::Full`], [`BookError::Storage`].
    pub fn replace(&self, host: &HostName, destination: &Destination) -> Result<(), BookError> {
        self.write(|ledger| {
            let mut record = Record::new(destination.clone(), Source::Hand, ledger.now, 0);
            ledger.settle(host)?;
            let Some(old) = ledger.get(host)? else { return add(ledger, host, &record) };
            for other in old.destinations().iter().filter(|other| *other != destination) {
                record.remember(other.b32());
            }
            ledger.change(host, &old, &record)
        })
    }

    /// Removes a name by hand, and settles the conflicts about it. No feed brings the same name with the same
    /// destination back; another destination may come. `false`: it was not there.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn remove(&self, host: &HostName) -> Result<bool, BookError> {
        self.write(|ledger| {
            ledger.settle(host)?;
            let Some(record) = ledger.get(host)? else { return Ok(false) };
            ledger.remove(host, &record)?;
            for destination in
                record.destinations().iter().map(Destination::b32).chain(record.previous().iter().copied())
            {
                ledger.bar(host, &destination, None)?;
            }
            Ok(true)
        })
    }

    /// The conflicts that are remembered, the newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`AddressBook::lookup`].
    pub fn conflicts(&self, limit: usize) -> Result<Vec<Conflict>, BookError> {
        let transaction = self.database.begin_read()?;
        let (items, order) = (transaction.open_table(CONFLICTS)?, transaction.open_table(CONFLICT_ORDER)?);
        let mut conflicts = Vec::new();
        for item in order.range::<u64>(..)?.rev().take(limit) {
            let (_, key) = item?;
            let value = items.get(key.value())?.ok_or(BookError::DamagedEntry)?;
            conflicts.push(conflict(key.value(), value.value()).ok_or(BookError::DamagedEntry)?);
        }
        Ok(conflicts)
    }

    /// Forgets the conflicts about a name, leaves the name as it is, and says how many there were. They are back after
    /// the next import of a feed that still has them.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn settle(&self, host: &HostName) -> Result<u64, BookError> {
        self.write(|ledger| ledger.settle(host))
    }

    /// Writes all names as a `hosts.txt`, in the order of the alphabet, each with the destination that a lookup
    /// gives. What is imported meanwhile is not in it.
    ///
    /// # Errors
    /// [`BookError::Write`], and as [`AddressBook::lookup`].
    pub fn export(&self, mut writer: impl Write) -> Result<(), BookError> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        for item in table.range::<&str>(..)? {
            let (host, bytes) = item?;
            let host = host_name(host.value().as_bytes())?;
            let destination = Record::first_destination(bytes.value()).ok_or(BookError::DamagedEntry)?;
            writeln!(writer, "{}", Entry { host, destination }).map_err(BookError::Write)?;
        }
        writer.flush().map_err(BookError::Write)
    }

    /// Does something to the store, wholly or not at all.
    fn write<T>(&self, work: impl FnOnce(&mut Ledger<'_>) -> Result<T, BookError>) -> Result<T, BookError> {
        let transaction = self.database.begin_write()?;
        let done = {
            let mut ledger = Ledger::open(&transaction, self.limits, now())?;
            work(&mut ledger)?
        };
        transaction.commit()?;
        Ok(done)
    }
}

/// Says nothing of what is in it: the names somebody knows are nobody's business.
impl fmt::Debug for AddressBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressBook").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn add(ledger: &mut Ledger<'_>, host: &HostName, record: &Record) -> Result<(), BookError> {
    ledger.add(host, record)?.map_err(|(NoRoom::Book | NoRoom::Source)| BookError::Full)
}

fn book_entry(host: HostName, bytes: &[u8]) -> Result<BookEntry, BookError> {
    let record = Record::decode(bytes).ok_or(BookError::DamagedEntry)?;
    Ok(BookEntry {
        host,
        destinations: record.destinations().to_vec(),
        added: at(record.added),
        source: record.source,
    })
}

fn conflict(key: &[u8], value: &[u8]) -> Option<Conflict> {
    let host = host_name(key.split(|&byte| byte == 0).next()?).ok()?;
    // The number of the conflict comes first.
    let mut reader = Reader(value.get(8..)?);
    let (at, source) = (at(reader.u64()?), reader.source()?);
    Some(Conflict { host, kept: reader.destination()?, offered: reader.destination()?, source, at })
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn at(seconds: u64) -> SystemTime {
    // A time that the system cannot hold was not written by us.
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}
