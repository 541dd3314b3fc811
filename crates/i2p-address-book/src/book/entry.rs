use std::time::SystemTime;

use i2p_name::{Destination, HostName};

use super::{
    ledger::host_name,
    record::{Reader, Record},
    time::from_seconds,
};
use crate::{error::BookError, source::Source};

/// A name in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookEntry {
    /// The name.
    pub host: HostName,
    /// Its destinations, at least one. The one with the best signature type comes first; a lookup returns it.
    pub destinations: Vec<Destination>,
    /// The origin of the entry.
    pub source: Source,
    /// When it was added, to the second.
    pub added: SystemTime,
}

impl BookEntry {
    /// Decodes an entry of the store.
    pub(super) fn decode(host: HostName, bytes: &[u8]) -> Result<Self, BookError> {
        let record = Record::decode(bytes).ok_or(BookError::DamagedEntry)?;
        Ok(Self {
            host,
            destinations: record.destinations().to_vec(),
            added: from_seconds(record.added),
            source: record.source,
        })
    }
}

/// An attempt of a feed to give a name another destination than it has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The name.
    pub host: HostName,
    /// The destination that the name had at that time.
    pub kept: Destination,
    /// The destination that was offered.
    pub offered: Destination,
    /// The source that offered it first.
    pub source: Source,
    /// When it was offered first, to the second.
    pub at: SystemTime,
}

impl Conflict {
    /// Decodes a conflict of the store: its key, and its value behind the item number.
    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let host = host_name(key.split(|&byte| byte == 0).next()?).ok()?;
        let mut reader = Reader(value);
        let (at, source) = (from_seconds(reader.u64()?), reader.source()?);
        Some(Self { host, kept: reader.destination()?, offered: reader.destination()?, source, at })
    }
}
