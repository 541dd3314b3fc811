use std::{fmt, io::Write, ops::Bound, path::Path};

use i2p_name::{B32, Destination, HostName};
use redb::ReadableTableMetadata;

use super::{
    bounded_list,
    entry::{BookEntry, Conflict},
    ledger::{
        self, CONFLICT_ORDER, CONFLICTS, ENTRIES, Ledger, NoRoom, REMOVED, REVERSE, Removal, host_name,
    },
    limits::Limits,
    record::Record,
    store::Store,
    time::now,
};
use crate::{error::BookError, feed::Entry, source::Source};

/// An address book in a file.
///
/// Only one process can have it open at a time. All methods block on the disk; lookups never wait for a writer.
pub struct AddressBook {
    pub(super) store: Store,
    pub(super) limits: Limits,
}

impl AddressBook {
    /// Opens the book at `path` with the default [`Limits`]. Creates the file and its directory if they do not exist.
    ///
    /// Only the owner can read the file (mode 0600; a new directory: 0700). The whole file is checked for damage.
    ///
    /// # Errors
    /// [`BookError::Open`], [`BookError::InUse`], [`BookError::Damaged`], [`BookError::Format`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BookError> {
        Self::open_with(path, Limits::default())
    }

    /// Like [`AddressBook::open`], with other limits. Existing entries beyond the limits stay.
    ///
    /// # Errors
    /// The errors of [`AddressBook::open`].
    pub fn open_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self, BookError> {
        let book = Self { store: Store::open(path.as_ref())?, limits };
        // The first transaction creates the tables, so that readers find them, and checks the format.
        book.write(|_| Ok(()))?;
        Ok(book)
    }

    /// Returns the destination of a name.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn lookup(&self, host: &HostName) -> Result<Option<Destination>, BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(ENTRIES)?;
        match table.get(host.as_str())? {
            Some(bytes) => Record::first_destination(bytes.value()).map(Some).ok_or(BookError::DamagedEntry),
            None => Ok(None),
        }
    }

    /// Returns the whole entry of a name.
    ///
    /// # Errors
    /// The errors of [`AddressBook::lookup`].
    pub fn entry(&self, host: &HostName) -> Result<Option<BookEntry>, BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(ENTRIES)?;
        table.get(host.as_str())?.map(|bytes| BookEntry::decode(host.clone(), bytes.value())).transpose()
    }

    /// Returns the names of a destination in alphabetical order, at most `limit`.
    ///
    /// # Errors
    /// The errors of [`AddressBook::lookup`].
    pub fn names_of(&self, destination: &B32, limit: usize) -> Result<Vec<HostName>, BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(REVERSE)?;
        ledger::names_of(&table, destination, None, limit)
    }

    /// Returns the number of names.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn len(&self) -> Result<u64, BookError> {
        Ok(self.store.read()?.open_table(ENTRIES)?.len()?)
    }

    /// Returns whether the book has no names.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn is_empty(&self) -> Result<bool, BookError> {
        self.len().map(|length| length == 0)
    }

    /// Returns one page of the entries in alphabetical order: at most `limit` entries whose names start with `prefix` and come
    /// after `after`. The last name of one page is the `after` of the next.
    ///
    /// # Errors
    /// The errors of [`AddressBook::lookup`].
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<BookEntry>, BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(ENTRIES)?;
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
            entries.push(BookEntry::decode(host_name(host.value().as_bytes())?, bytes.value())?);
        }
        Ok(entries)
    }

    /// Adds a name by hand, or confirms an existing entry. After that no feed changes it.
    ///
    /// # Errors
    /// [`BookError::NotImportable`], [`BookError::NameTaken`] if the name has another destination, [`BookError::Full`],
    /// [`BookError::Storage`].
    pub fn add(&self, host: &HostName, destination: &Destination) -> Result<(), BookError> {
        host.check_importable().map_err(BookError::NotImportable)?;
        self.write(|ledger| {
            let record = Record::new(destination.clone(), Source::Hand, ledger.now, 0);
            match ledger.get(host)? {
                None => add(ledger, host, &record),
                Some(old) if old.has(destination) => ledger.change(host, &old, &record),
                Some(_) => Err(BookError::NameTaken),
            }
        })
    }

    /// Sets the destination of a name by hand, replaces an existing entry, and drops the conflicts about the name. After that,
    /// lines of feeds with the old destination are outdated, not conflicts.
    ///
    /// # Errors
    /// [`BookError::NotImportable`], [`BookError::Full`], [`BookError::Storage`].
    pub fn replace(&self, host: &HostName, destination: &Destination) -> Result<(), BookError> {
        host.check_importable().map_err(BookError::NotImportable)?;
        self.write(|ledger| {
            let mut record = Record::new(destination.clone(), Source::Hand, ledger.now, 0);
            ledger.drop_conflicts(host)?;
            let Some(old) = ledger.get(host)? else { return add(ledger, host, &record) };
            for other in old.destinations().iter().filter(|other| *other != destination) {
                record.add_previous(other.b32());
            }
            ledger.change(host, &old, &record)
        })
    }

    /// Removes a name by hand and drops the conflicts about it. No feed adds the name with the same destination again; feeds may
    /// add it with another one, and [`restore`](Self::restore) brings it back. Returns whether the name was in the book.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn remove(&self, host: &HostName) -> Result<bool, BookError> {
        self.write(|ledger| {
            ledger.drop_conflicts(host)?;
            let Some(record) = ledger.get(host)? else { return Ok(false) };
            ledger.remove(host, &record)?;
            for destination in
                record.destinations().iter().map(Destination::b32).chain(record.previous().iter().copied())
            {
                ledger.record_removal(host, &destination, Removal::ByHand)?;
            }
            Ok(true)
        })
    }

    /// Returns whether this destination was removed from a name, by hand or by the name's holder. A source that does not know of
    /// the removal, such as a jump service, may still offer it.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn was_removed(&self, host: &HostName, destination: &Destination) -> Result<bool, BookError> {
        let reading = self.store.read()?;
        let removed = reading.open_table(REMOVED)?;
        Ok(removed.get(bounded_list::key(host.as_str(), destination.b32().hash()).as_slice())?.is_some())
    }

    /// Returns the conflicts, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The errors of [`AddressBook::lookup`].
    pub fn conflicts(&self, limit: usize) -> Result<Vec<Conflict>, BookError> {
        let transaction = self.store.read()?;
        let (items, order) = (transaction.open_table(CONFLICTS)?, transaction.open_table(CONFLICT_ORDER)?);
        let mut conflicts = Vec::new();
        for item in order.range::<u64>(..)?.rev().take(limit) {
            let (_, key) = item?;
            let value = items.get(key.value())?.ok_or(BookError::DamagedEntry)?;
            let content = bounded_list::content(value.value());
            conflicts.push(Conflict::decode(key.value(), content).ok_or(BookError::DamagedEntry)?);
        }
        Ok(conflicts)
    }

    /// Drops the conflicts about a name and leaves its entry unchanged. Returns how many there were. They appear again after
    /// the next import of a feed that still contains them.
    ///
    /// # Errors
    /// [`BookError::Storage`].
    pub fn drop_conflicts(&self, host: &HostName) -> Result<u64, BookError> {
        self.write(|ledger| ledger.drop_conflicts(host))
    }

    /// Writes all names as a `hosts.txt` in alphabetical order, each with the destination that a lookup returns. Changes made
    /// during the export are not in it.
    ///
    /// # Errors
    /// [`BookError::Write`], and the errors of [`AddressBook::lookup`].
    pub fn export(&self, mut writer: impl Write) -> Result<(), BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(ENTRIES)?;
        for item in table.range::<&str>(..)? {
            let (host, bytes) = item?;
            let host = host_name(host.value().as_bytes())?;
            let destination = Record::first_destination(bytes.value()).ok_or(BookError::DamagedEntry)?;
            writeln!(writer, "{}", Entry { host, destination }).map_err(BookError::Write)?;
        }
        writer.flush().map_err(BookError::Write)
    }

    /// Whether writing has failed, perhaps because the disk was full. The next change opens the file again if the disk takes new data.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.store.has_failed()
    }

    /// Changes the book in one transaction, which is committed only if `change` succeeds.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Ledger<'_>) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        self.store.write(|transaction| change(&mut Ledger::open(transaction, self.limits, now())?))
    }
}

/// Omits the content: which names the user knows is private.
impl fmt::Debug for AddressBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressBook").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn add(ledger: &mut Ledger<'_>, host: &HostName, record: &Record) -> Result<(), BookError> {
    ledger.add(host, record)?.map_err(|(NoRoom::Book | NoRoom::Source)| BookError::Full)
}
