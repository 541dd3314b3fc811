//! What the store holds under a name, and how it is written.

use i2p_name::{B32, Destination};

use crate::{FeedName, Source, signature::SigningKey};

/// Destinations of one name (Java I2P has the same limit).
pub(super) const MAX_DESTINATIONS: usize = 8;
/// Destinations that a name had before.
const MAX_PREVIOUS: usize = 8;

/// A name's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) source: Source,
    /// Seconds since 1970.
    pub(super) added: u64,
    /// The `date` of the last command that changed it, 0 for none. Older commands are not obeyed: whoever publishes a
    /// feed could play them again.
    pub(super) commanded: u64,
    /// At least one, the best signature type first.
    destinations: Vec<Destination>,
    /// What its holders replaced, the oldest first. Feeds still list these, and that is no conflict.
    previous: Vec<B32>,
}

impl Record {
    pub(super) fn new(destination: Destination, source: Source, added: u64, commanded: u64) -> Self {
        Self { source, added, commanded, destinations: vec![destination], previous: Vec::new() }
    }

    pub(super) fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    pub(super) fn previous(&self) -> &[B32] {
        &self.previous
    }

    pub(super) fn has(&self, destination: &Destination) -> bool {
        self.destinations.contains(destination)
    }

    /// Whether a command of this date comes too late to count.
    pub(super) const fn outdates(&self, date: Option<u64>) -> bool {
        let date = match date {
            Some(date) => date,
            None => 0,
        };
        self.commanded > 0 && date <= self.commanded
    }

    /// Adds a destination; `false` when there are too many.
    pub(super) fn insert(&mut self, destination: Destination) -> bool {
        if self.has(&destination) {
            return true;
        }
        if self.destinations.len() >= MAX_DESTINATIONS {
            return false;
        }
        self.previous.retain(|previous| *previous != destination.b32());
        self.destinations.push(destination);
        self.destinations.sort_by_key(|destination| std::cmp::Reverse(SigningKey::of(destination).rank()));
        true
    }

    /// Takes a destination off, and remembers that it was there. `false` when none is left.
    pub(super) fn retire(&mut self, destination: &Destination) -> bool {
        self.destinations.retain(|other| other != destination);
        self.remember(destination.b32());
        !self.destinations.is_empty()
    }

    /// Remembers a destination as one that the name had.
    pub(super) fn remember(&mut self, previous: B32) {
        self.previous.retain(|other| *other != previous);
        if self.previous.len() >= MAX_PREVIOUS {
            self.previous.remove(0);
        }
        self.previous.push(previous);
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        put_source(&mut bytes, &self.source);
        bytes.extend(self.added.to_be_bytes());
        bytes.extend(self.commanded.to_be_bytes());
        bytes.extend(count(self.destinations.len()));
        for destination in &self.destinations {
            put_destination(&mut bytes, destination);
        }
        bytes.extend(count(self.previous.len()));
        for previous in &self.previous {
            bytes.extend(previous.hash());
        }
        bytes
    }

    /// `None` when the bytes were not written by [`Record::encode`].
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let source = reader.source()?;
        let (added, commanded) = (reader.u64()?, reader.u64()?);
        let destinations = reader.u16()?;
        let destinations = (0..destinations).map(|_| reader.destination()).collect::<Option<Vec<_>>>()?;
        let previous = reader.u16()?;
        let previous =
            (0..previous).map(|_| reader.array().map(B32::from_hash)).collect::<Option<Vec<_>>>()?;
        let whole = reader.0.is_empty() && !destinations.is_empty();
        whole.then_some(Self { source, added, commanded, destinations, previous })
    }

    /// The destination that a lookup gives, without reading the rest.
    pub(super) fn first_destination(bytes: &[u8]) -> Option<Destination> {
        let mut reader = Reader(bytes);
        reader.skip_source()?;
        reader.take(16)?;
        (reader.u16()? > 0).then_some(())?;
        reader.destination()
    }
}

/// Counts here are below 9, and lengths below 4,000.
fn count(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}

pub(super) fn put_destination(bytes: &mut Vec<u8>, destination: &Destination) {
    bytes.extend(count(destination.as_bytes().len()));
    bytes.extend(destination.as_bytes());
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(count(text.len()));
    bytes.extend(text.as_bytes());
}

pub(super) fn put_source(bytes: &mut Vec<u8>, source: &Source) {
    let (kind, text) = match source {
        Source::Hand => (0, ""),
        Source::Feed(name) => (1, name.as_str()),
    };
    bytes.push(kind);
    put_text(bytes, text);
}

/// Takes fields off the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn destination(&mut self) -> Option<Destination> {
        let length = self.u16()?;
        Destination::from_bytes(self.take(length.into())?.to_vec()).ok()
    }

    fn skip_source(&mut self) -> Option<(u8, &'a [u8])> {
        let [kind] = self.array()?;
        let length = self.u16()?;
        Some((kind, self.take(length.into())?))
    }

    /// Text with its length in front.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        core::str::from_utf8(self.take(length.into())?).ok()
    }

    pub(super) fn source(&mut self) -> Option<Source> {
        match self.skip_source()? {
            (0, []) => Some(Source::Hand),
            (1, text) => Some(Source::Feed(FeedName::new(core::str::from_utf8(text).ok()?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(certificate: &[u8]) -> Destination {
        Destination::from_bytes([&[7; 384], certificate].concat()).unwrap()
    }

    #[test]
    fn the_best_signature_type_comes_first_and_the_store_keeps_the_order() {
        let (dsa, p256) = (destination(&[0, 0, 0]), destination(&[5, 0, 4, 0, 1, 0, 4]));
        let ed25519 = destination(&[5, 0, 4, 0, 7, 0, 4]);
        let mut record = Record::new(dsa.clone(), Source::feed("hosts.txt"), 1, 2);
        assert!(record.insert(ed25519.clone()) && record.insert(p256.clone()));
        assert_eq!(record.destinations(), [ed25519.clone(), p256, dsa.clone()]);
        assert!(record.retire(&dsa));
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        assert_eq!(Record::first_destination(&bytes), Some(ed25519));
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length]), None, "{length} bytes");
        }
    }
}
