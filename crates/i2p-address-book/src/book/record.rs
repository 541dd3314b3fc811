//! The entry of a name in the store, and its encoding.

use i2p_name::{B32, Destination};

use crate::{
    signature::SigningKey,
    source::{FeedName, Source},
};

/// The limit of destinations of one name, the same as in Java I2P.
pub(super) const MAX_DESTINATIONS: usize = 8;
/// The limit of former destinations that are kept for a name.
const MAX_PREVIOUS: usize = 8;

/// A name's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) source: Source,
    /// When it was added, in seconds since 1970.
    pub(super) added: u64,
    /// The `date` of the last command that changed the entry; 0 for none. Older commands are not carried out, because the
    /// publisher of a feed could replay them.
    pub(super) last_command: u64,
    /// At least one destination; those with the best signature types come first.
    destinations: Vec<Destination>,
    /// Former destinations that the holder replaced, the oldest first. A line of a feed with one of them is outdated and no
    /// conflict.
    previous: Vec<B32>,
}

impl Record {
    pub(super) fn new(destination: Destination, source: Source, added: u64, last_command: u64) -> Self {
        Self { source, added, last_command, destinations: vec![destination], previous: Vec::new() }
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

    /// Whether a command with this date is older than the last command, or a replay of it.
    pub(super) const fn supersedes(&self, date: Option<u64>) -> bool {
        let date = match date {
            Some(date) => date,
            None => 0,
        };
        self.last_command > 0 && date <= self.last_command
    }

    /// Adds a destination. Returns `false` if the name has too many.
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

    /// Moves a destination to the former destinations.
    pub(super) fn retire(&mut self, destination: &Destination) {
        self.destinations.retain(|other| other != destination);
        self.add_previous(destination.b32());
    }

    /// Adds a former destination.
    pub(super) fn add_previous(&mut self, previous: B32) {
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
        bytes.extend(self.last_command.to_be_bytes());
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

    /// Decodes the output of [`Record::encode`]; `None` for other bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let source = reader.source()?;
        let (added, last_command) = (reader.u64()?, reader.u64()?);
        let destinations = reader.u16()?;
        let destinations = (0..destinations).map(|_| reader.destination()).collect::<Option<Vec<_>>>()?;
        let previous = reader.u16()?;
        let previous =
            (0..previous).map(|_| reader.array().map(B32::from_hash)).collect::<Option<Vec<_>>>()?;
        let whole = reader.0.is_empty() && !destinations.is_empty();
        whole.then_some(Self { source, added, last_command, destinations, previous })
    }

    /// Decodes only the first destination, which a lookup returns.
    pub(super) fn first_destination(bytes: &[u8]) -> Option<Destination> {
        let mut reader = Reader(bytes);
        reader.skip_source()?;
        reader.take(16)?;
        (reader.u16()? > 0).then_some(())?;
        reader.destination()
    }
}

/// Encodes a count, which is below 9, or a length, which is below 4,000.
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

/// Reads fields one after the other.
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

    /// Reads a text with its length in front.
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
    fn the_best_signature_type_comes_first_and_encoding_keeps_the_order() {
        let (dsa, p256) = (destination(&[0, 0, 0]), destination(&[5, 0, 4, 0, 1, 0, 4]));
        let ed25519 = destination(&[5, 0, 4, 0, 7, 0, 4]);
        let mut record = Record::new(dsa.clone(), Source::feed("hosts.txt"), 1, 2);
        assert!(record.insert(ed25519.clone()) && record.insert(p256.clone()));
        assert_eq!(record.destinations(), [ed25519.clone(), p256, dsa.clone()]);
        record.retire(&dsa);
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        assert_eq!(Record::first_destination(&bytes), Some(ed25519));
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length]), None, "{length} bytes");
        }
    }
}
