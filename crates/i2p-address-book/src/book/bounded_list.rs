//! A list in the store with a maximum length, which drops its oldest items.

use redb::{ReadableTable, ReadableTableMetadata, Table};

use crate::error::BookError;

/// Items by name and destination, in the order in which they were added.
///
/// Keys are the name, a zero byte and the hash of the destination. Values are the number of the item and its content.
pub(super) struct BoundedList<'t> {
    pub(super) items: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) order: Table<'t, u64, &'static [u8]>,
    pub(super) max_length: u64,
}

/// Bytes of an item's number.
const NUMBER_BYTES: usize = 8;

/// The content in the value of an item.
pub(super) fn content(value: &[u8]) -> &[u8] {
    value.get(NUMBER_BYTES..).unwrap_or_default()
}

/// The key of a name and a destination.
pub(super) fn key(host: &str, destination: &[u8; 32]) -> Vec<u8> {
    let mut key = Vec::with_capacity(host.len() + 33);
    key.extend_from_slice(host.as_bytes());
    key.push(0);
    key.extend_from_slice(destination);
    key
}

impl BoundedList<'_> {
    /// Returns the content of the item with this key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError> {
        Ok(self.items.get(key)?.map(|value| content(value.value()).to_vec()))
    }

    /// Adds an item at the end. Replaces an item with the same key.
    pub(super) fn add(&mut self, key: &[u8], content: &[u8]) -> Result<(), BookError> {
        self.remove(key)?;
        let last = self.order.last()?.map_or(0, |(number, _)| number.value());
        let number = last.saturating_add(1);
        let mut numbered = number.to_be_bytes().to_vec();
        numbered.extend_from_slice(content);
        self.items.insert(key, numbered.as_slice())?;
        self.order.insert(number, key)?;
        while self.order.len()? > self.max_length {
            let Some(oldest) = self.order.pop_first()?.map(|(_, key)| key.value().to_vec()) else { break };
            self.items.remove(oldest.as_slice())?;
        }
        Ok(())
    }

    /// Removes the item with this key. Returns whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, BookError> {
        let number = self.items.remove(key)?.and_then(|value| value.value().first_chunk().copied());
        if let Some(number) = number {
            self.order.remove(u64::from_be_bytes(number))?;
        }
        Ok(number.is_some())
    }

    /// Removes all items of a name. Returns how many there were.
    pub(super) fn remove_host(&mut self, host: &str) -> Result<u64, BookError> {
        let (start, end) = ([host.as_bytes(), &[0]].concat(), [host.as_bytes(), &[1]].concat());
        let mut removed = 0;
        loop {
            let next = self.items.range::<&[u8]>(start.as_slice()..end.as_slice())?.next();
            let Some(key) = next.transpose()?.map(|(key, _)| key.value().to_vec()) else {
                return Ok(removed);
            };
            self.remove(&key)?;
            removed += 1;
        }
    }
}
