//! Subscriptions to feeds, and the state of each feed since it was read last.

use std::time::SystemTime;

use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError};

use super::{
    address_book::AddressBook,
    record::{Reader, put_text},
    time::{from_seconds, to_seconds},
};
use crate::{error::BookError, source::FeedName};

/// Maps feeds to [`FeedRecord`]s.
const FEEDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("feeds");
/// Bytes of the longest validator that is kept. A feed with a longer one is downloaded in full each time.
const MAX_VALIDATOR_BYTES: usize = 256;

/// The state of a feed since it was read last, with which a client asks only for changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedState {
    /// The `ETag` of the feed (RFC 9110 section 8.8.3), or another text that changes with its content. Longer than 256 bytes, it
    /// is not kept.
    pub etag: Option<String>,
    /// The `Last-Modified` of the feed (RFC 9110 section 8.8.2), as received. Longer than 256 bytes, it is not kept.
    pub last_modified: Option<String>,
    /// When the feed was last found unchanged or imported, to the second.
    pub checked: Option<SystemTime>,
}

/// A feed in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FeedRecord {
    subscribed: bool,
    state: FeedState,
}

impl AddressBook {
    /// Subscribes to a feed. Returns `false` if there was a subscription already. The caller fetches and imports the feed.
    ///
    /// # Errors
    /// [`BookError::TooManySubscriptions`], [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn subscribe(&self, feed: &FeedName) -> Result<bool, BookError> {
        self.change_feeds(|table, limit| {
            let record = get(table, feed)?;
            if record.subscribed {
                return Ok(false);
            }
            let mut subscribed = 0;
            for item in table.iter()? {
                subscribed += u64::from(decode(item?.1.value())?.subscribed);
            }
            if subscribed >= limit {
                return Err(BookError::TooManySubscriptions);
            }
            put(table, feed, &FeedRecord { subscribed: true, ..record }, limit)?;
            Ok(true)
        })
    }

    /// Removes a subscription and the state of the feed. The names of the feed stay. Returns whether there was a subscription.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn unsubscribe(&self, feed: &FeedName) -> Result<bool, BookError> {
        self.change_feeds(|table, _| {
            let record = get(table, feed)?;
            if record.subscribed {
                table.remove(feed.as_str())?;
            }
            Ok(record.subscribed)
        })
    }

    /// Returns the feeds with a subscription, in alphabetical order.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn subscriptions(&self) -> Result<Vec<FeedName>, BookError> {
        let transaction = self.store.read()?;
        let table = match transaction.open_table(FEEDS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut feeds = Vec::new();
        for item in table.iter()? {
            let (feed, record) = item?;
            if decode(record.value())?.subscribed {
                feeds.push(FeedName::new(feed.value()));
            }
        }
        Ok(feeds)
    }

    /// Returns the state of a feed, with or without a subscription. The state of a feed that was never read is empty.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn feed_state(&self, feed: &FeedName) -> Result<FeedState, BookError> {
        let reading = self.store.read()?;
        match reading.open_table(FEEDS) {
            Ok(table) => Ok(get(&table, feed)?.state),
            Err(TableError::TableDoesNotExist(_)) => Ok(FeedState::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the state of a feed, with or without a subscription.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn set_feed_state(&self, feed: &FeedName, state: &FeedState) -> Result<(), BookError> {
        self.change_feeds(|table, limit| {
            let record = FeedRecord { state: state.clone(), ..get(table, feed)? };
            put(table, feed, &record, limit)
        })
    }

    fn change_feeds<T>(
        &self,
        change: impl FnOnce(&mut Table<'_, &'static str, &'static [u8]>, u64) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        let most = self.limits.max_subscriptions;
        self.store.write(|transaction| change(&mut transaction.open_table(FEEDS)?, most))
    }
}

fn get(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    feed: &FeedName,
) -> Result<FeedRecord, BookError> {
    table.get(feed.as_str())?.map_or_else(|| Ok(FeedRecord::default()), |bytes| decode(bytes.value()))
}

/// Stores a feed. If there are too many, it drops feeds without a subscription, those checked longest ago first.
fn put(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    feed: &FeedName,
    record: &FeedRecord,
    max_subscriptions: u64,
) -> Result<(), BookError> {
    table.insert(feed.as_str(), encode(record).as_slice())?;
    while table.len()? > max_subscriptions.saturating_mul(2) {
        let mut oldest: Option<(Option<SystemTime>, String)> = None;
        for item in table.iter()? {
            let (other, record) = item?;
            let record = decode(record.value())?;
            let older = oldest.as_ref().is_none_or(|(checked, _)| record.state.checked < *checked);
            if !record.subscribed && other.value() != feed.as_str() && older {
                oldest = Some((record.state.checked, other.value().to_owned()));
            }
        }
        let Some((_, oldest)) = oldest else { break };
        table.remove(oldest.as_str())?;
    }
    Ok(())
}

fn encode(record: &FeedRecord) -> Vec<u8> {
    let mut bytes = vec![u8::from(record.subscribed)];
    let FeedState { etag, last_modified, checked } = &record.state;
    bytes.extend(checked.map_or(0, to_seconds).to_be_bytes());
    for validator in [etag, last_modified] {
        let kept = validator.as_deref().filter(|text| text.len() <= MAX_VALIDATOR_BYTES);
        put_text(&mut bytes, kept.unwrap_or_default());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Result<FeedRecord, BookError> {
    let mut reader = Reader(bytes);
    let mut record = || {
        let [subscribed] = reader.array()?;
        let checked = Some(reader.u64()?).filter(|seconds| *seconds > 0).map(from_seconds);
        let mut validator = || {
            let text = reader.text()?;
            Some((!text.is_empty()).then(|| text.to_owned()))
        };
        let (etag, last_modified) = (validator()?, validator()?);
        Some(FeedRecord { subscribed: subscribed == 1, state: FeedState { etag, last_modified, checked } })
    };
    record().filter(|_| reader.0.is_empty()).ok_or(BookError::DamagedEntry)
}
