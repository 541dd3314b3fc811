//! The tables of the store, and the operations that keep them consistent.

use i2p_name::{B32, Destination, HostName};
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use super::{
    bounded_list::{BoundedList, key},
    limits::Limits,
    record::{Record, put_destination, put_source},
};
use crate::{error::BookError, source::Source};

/// The version of the file format: the tables and their encoding.
const FORMAT_VERSION: u64 = 1;

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
/// Maps names to [`Record`]s.
pub(super) const ENTRIES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("entries");
/// Keys are the hash of a destination followed by a name of it.
pub(super) const REVERSE: TableDefinition<'static, &[u8], ()> = TableDefinition::new("reverse");
/// Maps feeds to the number of their entries.
const COUNTS: TableDefinition<'static, &str, u64> = TableDefinition::new("counts");
pub(super) const CONFLICTS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("conflicts");
pub(super) const CONFLICT_ORDER: TableDefinition<'static, u64, &[u8]> =
    TableDefinition::new("conflict-order");
pub(super) const REMOVED: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("removed");
const REMOVED_ORDER: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("removed-order");

/// The date in the store for a removal by hand: no command can have a later one.
const REMOVED_BY_HAND: u64 = u64::MAX;

/// Why there is no room for another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    Book,
    Source,
}

/// The way in which a name lost a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// The user removed it.
    ByHand,
    /// A command of this date removed it; 0 for a command without a date.
    ByCommand(u64),
}

/// All tables, open for writing.
pub(super) struct Ledger<'t> {
    entries: Table<'t, &'static str, &'static [u8]>,
    reverse: Table<'t, &'static [u8], ()>,
    counts: Table<'t, &'static str, u64>,
    conflicts: BoundedList<'t>,
    /// Pairs of name and destination that their holder or the user removed, with the date.
    removed: BoundedList<'t>,
    limits: Limits,
    /// The current time in seconds since 1970.
    pub(super) now: u64,
}

impl<'t> Ledger<'t> {
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        limits: Limits,
        now: u64,
    ) -> Result<Self, BookError> {
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.map(|format| format.value());
        match found {
            Some(FORMAT_VERSION) => {}
            Some(found) => return Err(BookError::Format { found, known: FORMAT_VERSION }),
            None => drop(meta.insert("format", FORMAT_VERSION)?),
        }
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            reverse: transaction.open_table(REVERSE)?,
            counts: transaction.open_table(COUNTS)?,
            conflicts: BoundedList {
                items: transaction.open_table(CONFLICTS)?,
                order: transaction.open_table(CONFLICT_ORDER)?,
                max_length: limits.max_conflicts,
            },
            removed: BoundedList {
                items: transaction.open_table(REMOVED)?,
                order: transaction.open_table(REMOVED_ORDER)?,
                max_length: limits.max_removed,
            },
            limits,
            now,
        })
    }

    pub(super) fn get(&self, host: &HostName) -> Result<Option<Record>, BookError> {
        match self.entries.get(host.as_str())? {
            Some(bytes) => Record::decode(bytes.value()).map(Some).ok_or(BookError::DamagedEntry),
            None => Ok(None),
        }
    }

    /// Adds a name that is not in the book.
    pub(super) fn add(&mut self, host: &HostName, record: &Record) -> Result<Result<(), NoRoom>, BookError> {
        if self.entries.len()? >= self.limits.max_entries {
            return Ok(Err(NoRoom::Book));
        }
        if let Source::Feed(name) = &record.source {
            let count = self.count(name.as_str())?;
            if count >= self.limits.max_entries_per_source {
                return Ok(Err(NoRoom::Source));
            }
            self.counts.insert(name.as_str(), count + 1)?;
        }
        self.write(host, record)?;
        Ok(Ok(()))
    }

    /// Replaces the record of a name. `old` is the current one.
    pub(super) fn change(&mut self, host: &HostName, old: &Record, new: &Record) -> Result<(), BookError> {
        self.remove(host, old)?;
        if let Source::Feed(name) = &new.source {
            let count = self.count(name.as_str())?;
            self.counts.insert(name.as_str(), count + 1)?;
        }
        self.write(host, new)
    }

    /// Removes a name. `record` is the current one.
    pub(super) fn remove(&mut self, host: &HostName, record: &Record) -> Result<(), BookError> {
        for destination in record.destinations() {
            self.reverse.remove(reverse_key(destination, host).as_slice())?;
        }
        self.entries.remove(host.as_str())?;
        if let Source::Feed(name) = &record.source {
            match self.count(name.as_str())? {
                0 | 1 => drop(self.counts.remove(name.as_str())?),
                more => drop(self.counts.insert(name.as_str(), more - 1)?),
            }
        }
        Ok(())
    }

    fn write(&mut self, host: &HostName, record: &Record) -> Result<(), BookError> {
        self.entries.insert(host.as_str(), record.encode().as_slice())?;
        for destination in record.destinations() {
            self.reverse.insert(reverse_key(destination, host).as_slice(), ())?;
            let pair = key(host.as_str(), destination.b32().hash());
            self.conflicts.remove(&pair)?;
            self.removed.remove(&pair)?;
        }
        Ok(())
    }

    fn count(&self, source: &str) -> Result<u64, BookError> {
        Ok(self.counts.get(source)?.map_or(0, |count| count.value()))
    }

    /// Returns at most `limit` names of a destination that come after `after`.
    pub(super) fn names_of(
        &self,
        destination: &B32,
        after: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<HostName>, BookError> {
        names_of(&self.reverse, destination, after, limit)
    }

    /// Records that a source offered another destination for a name. Only the first offer is kept.
    pub(super) fn record_conflict(
        &mut self,
        host: &HostName,
        kept: &Destination,
        offered: &Destination,
        source: &Source,
    ) -> Result<(), BookError> {
        let pair = key(host.as_str(), offered.b32().hash());
        if self.conflicts.get(&pair)?.is_some() {
            return Ok(());
        }
        let mut value = self.now.to_be_bytes().to_vec();
        put_source(&mut value, source);
        put_destination(&mut value, kept);
        put_destination(&mut value, offered);
        self.conflicts.add(&pair, &value)
    }

    /// Drops the conflicts about a name. Returns how many there were.
    pub(super) fn drop_conflicts(&mut self, host: &HostName) -> Result<u64, BookError> {
        self.conflicts.remove_host(host.as_str())
    }

    /// Records that a destination was removed from a name.
    pub(super) fn record_removal(
        &mut self,
        host: &HostName,
        destination: &B32,
        removal: Removal,
    ) -> Result<(), BookError> {
        let pair = key(host.as_str(), destination.hash());
        let date = match removal {
            Removal::ByHand => REMOVED_BY_HAND,
            Removal::ByCommand(date) => date,
        };
        let date = date.max(self.removal_date(host, destination)?.unwrap_or(0));
        self.removed.add(&pair, &date.to_be_bytes())
    }

    /// Returns the date when a destination was removed from a name; [`REMOVED_BY_HAND`] if by hand.
    fn removal_date(&self, host: &HostName, destination: &B32) -> Result<Option<u64>, BookError> {
        let value = self.removed.get(&key(host.as_str(), destination.hash()))?;
        Ok(value.and_then(|value| value.first_chunk().copied()).map(u64::from_be_bytes))
    }

    /// Whether the user removed a destination from a name.
    pub(super) fn is_removed_by_hand(
        &self,
        host: &HostName,
        destination: &Destination,
    ) -> Result<bool, BookError> {
        Ok(self.removal_date(host, &destination.b32())? == Some(REMOVED_BY_HAND))
    }

    /// Whether a destination was removed from a name, and a line or command of this date does not add it again.
    pub(super) fn is_removed(
        &self,
        host: &HostName,
        destination: &Destination,
        date: Option<u64>,
    ) -> Result<bool, BookError> {
        let removed = self.removal_date(host, &destination.b32())?;
        Ok(removed.is_some_and(|removed| date.unwrap_or(0) <= removed))
    }
}

/// The key of [`REVERSE`].
fn reverse_key(destination: &Destination, host: &HostName) -> Vec<u8> {
    [destination.b32().hash().as_slice(), host.as_str().as_bytes()].concat()
}

/// Returns at most `limit` names of a destination in [`REVERSE`] that come after `after`.
pub(super) fn names_of(
    reverse: &impl ReadableTable<&'static [u8], ()>,
    destination: &B32,
    after: Option<&HostName>,
    limit: usize,
) -> Result<Vec<HostName>, BookError> {
    let mut start = destination.hash().to_vec();
    if let Some(after) = after {
        start.extend_from_slice(after.as_str().as_bytes());
        // The lowest key that is greater.
        start.push(0);
    }
    let mut names = Vec::new();
    for item in reverse.range::<&[u8]>(start.as_slice()..)? {
        let (key, _) = item?;
        let Some(host) = key.value().strip_prefix(destination.hash().as_slice()) else { break };
        if names.len() >= limit {
            break;
        }
        names.push(host_name(host)?);
    }
    Ok(names)
}

/// Parses a name in a key.
pub(super) fn host_name(bytes: &[u8]) -> Result<HostName, BookError> {
    let text = core::str::from_utf8(bytes).map_err(|_| BookError::DamagedEntry)?;
    text.parse().map_err(|_| BookError::DamagedEntry)
}
