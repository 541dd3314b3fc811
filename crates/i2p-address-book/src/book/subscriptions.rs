//! Which feeds are subscribed to, and what is known of a feed since it was read last.

use std::time::{SystemTime, UNIX_EPOCH};

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError};

use super::{
    AddressBook, at,
    record::{Reader, put_text},
};
use crate::{BookError, FeedName};

/// Feed to [`Known`].
const FEEDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("feeds");
/// The longest validator that is kept, in bytes. A feed that has a longer one is read as a whole each time.
const MAX_VALIDATOR: usize = 256;

/// What is known of a feed since it was read last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedState {
    /// Its `ETag` (RFC 9110 section 8.8.3), or whatever else tells whether it has changed. Over 256 bytes it is not kept.
    pub etag: Option<String>,
    /// Its `Last-Modified` (RFC 9110 section 8.8.2), as it was sent. Over 256 bytes it is not kept.
    pub last_modified: Option<String>,
    /// When it was last seen to be as we have it, to the second.
    pub checked: Option<SystemTime>,
}

/// [`FeedState`], and whether a person subscribed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    subscribed: bool,
    state: FeedState,
}

impl AddressBook {
    /// Remembers that a feed is to be read again and again. `false`: it was remembered before. Reading it is the caller's.
    ///
    /// # Errors
    /// [`BookError::TooManySubscriptions`], [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn subscribe(&self, feed: &FeedName) -> Result<bool, BookError> {
        self.change(|table, limit| {
            let known = get(table, feed)?;
            if known.subscribed {
                return Ok(false);
            }
            let mut subscribed = 0;
            for item in table.iter()? {
                subscribed += u64::from(decode(item?.1.value())?.subscribed);
            }
            if subscribed >= limit {
                return Err(BookError::TooManySubscriptions);
            }
            put(table, feed, &Known { subscribed: true, ..known }, limit)?;
            Ok(true)
        })
    }

    /// Forgets a subscription, and what is known of the feed. Its names stay. `false`: there was none.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn unsubscribe(&self, feed: &FeedName) -> Result<bool, BookError> {
        self.change(|table, _| {
            let known = get(table, feed)?;
            if known.subscribed {
                table.remove(feed.as_str())?;
            }
            Ok(known.subscribed)
        })
    }

    /// The feeds that are subscribed to, in the order of the alphabet.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn subscriptions(&self) -> Result<Vec<FeedName>, BookError> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(FEEDS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut feeds = Vec::new();
        for item in table.iter()? {
            let (feed, known) = item?;
            if decode(known.value())?.subscribed {
                feeds.push(FeedName::new(feed.value()));
            }
        }
        Ok(feeds)
    }

    /// What is known of a feed, subscribed to or not; nothing, if it was never read.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn feed_state(&self, feed: &FeedName) -> Result<FeedState, BookError> {
        match self.database.begin_read()?.open_table(FEEDS) {
            Ok(table) => Ok(get(&table, feed)?.state),
            Err(TableError::TableDoesNotExist(_)) => Ok(FeedState::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers what is known of a feed, subscribed to or not.
    ///
    /// # Errors
    /// [`BookError::Storage`], [`BookError::DamagedEntry`].
    pub fn set_feed_state(&self, feed: &FeedName, state: &FeedState) -> Result<(), BookError> {
        self.change(|table, limit| {
            let known = Known { state: state.clone(), ..get(table, feed)? };
            put(table, feed, &known, limit)
        })
    }

    fn change<T>(
        &self,
        work: impl FnOnce(&mut Table<'_, &'static str, &'static [u8]>, u64) -> Result<T, BookError>,
    ) -> Result<T, BookError> {
        let transaction = self.database.begin_write()?;
        let done = work(&mut transaction.open_table(FEEDS)?, self.limits.max_subscriptions)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn get(table: &impl ReadableTable<&'static str, &'static [u8]>, feed: &FeedName) -> Result<Known, BookError> {
    table.get(feed.as_str())?.map_or_else(|| Ok(Known::default()), |bytes| decode(bytes.value()))
}

/// Makes room first: feeds that nobody is subscribed to go, the one that was not seen for longest before others.
fn put(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    feed: &FeedName,
    known: &Known,
    max_subscriptions: u64,
) -> Result<(), BookError> {
    table.insert(feed.as_str(), encode(known).as_slice())?;
    while table.len()? > max_subscriptions.saturating_mul(2) {
        let mut oldest: Option<(Option<SystemTime>, String)> = None;
        for item in table.iter()? {
            let (other, known) = item?;
            let known = decode(known.value())?;
            let older = oldest.as_ref().is_none_or(|(checked, _)| known.state.checked < *checked);
            if !known.subscribed && other.value() != feed.as_str() && older {
                oldest = Some((known.state.checked, other.value().to_owned()));
            }
        }
        let Some((_, oldest)) = oldest else { break };
        table.remove(oldest.as_str())?;
    }
    Ok(())
}

fn encode(known: &Known) -> Vec<u8> {
    let mut bytes = vec![u8::from(known.subscribed)];
    let FeedState { etag, last_modified, checked } = &known.state;
    let seconds = |time: &SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    bytes.extend(checked.as_ref().map_or(0, seconds).to_be_bytes());
    for validator in [etag, last_modified] {
        let kept = validator.as_deref().filter(|text| text.len() <= MAX_VALIDATOR);
        put_text(&mut bytes, kept.unwrap_or_default());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Result<Known, BookError> {
    let mut reader = Reader(bytes);
    let mut known = || {
        let [subscribed] = reader.array()?;
        let checked = Some(reader.u64()?).filter(|seconds| *seconds > 0).map(at);
        let mut validator = || {
            let text = reader.text()?;
            Some((!text.is_empty()).then(|| text.to_owned()))
        };
        let (etag, last_modified) = (validator()?, validator()?);
        Some(Known { subscribed: subscribed == 1, state: FeedState { etag, last_modified, checked } })
    };
    known().filter(|_| reader.0.is_empty()).ok_or(BookError::DamagedEntry)
}
