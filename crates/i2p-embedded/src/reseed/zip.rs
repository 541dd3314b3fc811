//! The part of the zip format that reseed files use: stored and deflated entries, in one file below 4 GiB.
//!
//! A reseed file is read only after its signature has been checked. A signer may still be hostile, so three things are bounded: the
//! number of entries, the size of each after inflating, and the size of all together.

use std::io::Read;

use flate2::{Crc, read::DeflateDecoder};

/// No more entries than this are read. A reseed server's file has about 75 to 100.
const MAX_ENTRIES: usize = 10_000;

/// The largest size of all entries together after inflating.
const MAX_TOTAL_BYTES: usize = 16 * 1024 * 1024;

/// The mark of the central directory's end, which is at the end of the file, followed only by a comment.
const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const MAX_COMMENT: usize = 65_535;

/// An entry of the central directory.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;

/// The mark of a local header, which comes before an entry's data.
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;

const ENCRYPTED: usize = 1;
const STORED: usize = 0;
const DEFLATED: usize = 8;

/// Returns the contents of entries of at most `max_bytes`. Damaged and larger entries are left out. Returns nothing if this is not
/// a zip archive.
pub(super) fn contents(archive: &[u8], max_bytes: usize) -> Option<Vec<Vec<u8>>> {
    let (mut directory, count) = central_directory(archive)?;
    let mut contents = Vec::new();
    let mut budget = MAX_TOTAL_BYTES;
    for _ in 0..count.min(MAX_ENTRIES) {
        let Some((entry, rest)) = Entry::split(directory) else { break };
        directory = rest;
        let limit = max_bytes.min(budget);
        let inflated = entry.inflate(archive, limit);
        budget = budget.saturating_sub(inflated.as_ref().map_or(limit, Vec::len));
        contents.extend(inflated.filter(|bytes| entry.is_whole(bytes)));
    }
    Some(contents)
}

/// Returns the bytes from the central directory on, and the number of its entries.
fn central_directory(archive: &[u8]) -> Option<(&[u8], usize)> {
    let earliest = archive.len().saturating_sub(END_LENGTH + MAX_COMMENT);
    let tail = archive.get(earliest..)?;
    let at = tail.windows(END.len()).rposition(|window| window == END)?;
    let end = tail.get(at..at + END_LENGTH)?;
    Some((archive.get(u32_at(end, 16)?..)?, u16_at(end, 10)?))
}

/// An entry of the central directory.
struct Entry {
    flags: usize,
    method: usize,
    crc: usize,
    packed: usize,
    length: usize,
    at: usize,
}

impl Entry {
    /// Splits off the first entry. Returns it and the bytes after it.
    fn split(directory: &[u8]) -> Option<(Self, &[u8])> {
        if !directory.starts_with(ENTRY) {
            return None;
        }
        let entry = Self {
            flags: u16_at(directory, 8)?,
            method: u16_at(directory, 10)?,
            crc: u32_at(directory, 16)?,
            packed: u32_at(directory, 20)?,
            length: u32_at(directory, 24)?,
            at: u32_at(directory, 42)?,
        };
        let variable = u16_at(directory, 28)? + u16_at(directory, 30)? + u16_at(directory, 32)?;
        Some((entry, directory.get(ENTRY_LENGTH + variable..)?))
    }

    /// Returns the contents of the entry. Returns nothing if they are damaged or longer than `limit`.
    fn inflate(&self, archive: &[u8], limit: usize) -> Option<Vec<u8>> {
        if self.length > limit || self.flags & ENCRYPTED != 0 {
            return None;
        }
        let local = archive.get(self.at..)?;
        if !local.starts_with(LOCAL) {
            return None;
        }
        let start = LOCAL_LENGTH + u16_at(local, 26)? + u16_at(local, 28)?;
        let packed = local.get(start..)?.get(..self.packed)?;
        match self.method {
            STORED => (packed.len() <= limit).then(|| packed.to_vec()),
            DEFLATED => {
                let mut inflated = Vec::new();
                // Reads one byte more than the directory states, to notice if there is more.
                let most = self.length as u64 + 1;
                DeflateDecoder::new(packed).take(most).read_to_end(&mut inflated).ok()?;
                Some(inflated)
            }
            _ => None,
        }
    }

    /// Whether the contents match the directory.
    fn is_whole(&self, contents: &[u8]) -> bool {
        let mut crc = Crc::new();
        crc.update(contents);
        contents.len() == self.length && crc.sum() as usize == self.crc
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*field)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write;

    /// An entry to be written: its contents, the length that the directory states, and its method.
    struct Made {
        contents: Vec<u8>,
        length: usize,
        method: u16,
    }

    fn deflated(contents: &[u8]) -> Made {
        Made { contents: contents.into(), length: contents.len(), method: 8 }
    }

    fn stored(contents: &[u8]) -> Made {
        Made { method: 0, ..deflated(contents) }
    }

    fn packed(made: &Made) -> Vec<u8> {
        if made.method != 8 {
            return made.contents.clone();
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&made.contents).unwrap();
        encoder.finish().unwrap()
    }

    fn le32(number: usize) -> [u8; 4] {
        u32::try_from(number).unwrap().to_le_bytes()
    }

    /// Writes an archive like those of reseed servers, with lengths and checksum in the directory only.
    fn archive(entries: &[Made]) -> Vec<u8> {
        let (mut archive, mut directory) = (Vec::new(), Vec::new());
        for entry in entries {
            let packed = packed(entry);
            let mut crc = Crc::new();
            crc.update(&entry.contents);
            let [sum, small, large, at] =
                [crc.sum() as usize, packed.len(), entry.length, archive.len()].map(le32);
            directory.extend([ENTRY, &[20, 0, 20, 0, 8, 0], &entry.method.to_le_bytes(), &[0; 4]].concat());
            directory
                .extend([&sum[..], &small, &large, &[1, 0, 2, 0, 0, 0], &[0; 8], &at, b"n", b"xx"].concat());
            archive.extend([LOCAL, &[0; 22], &[1, 0, 3, 0], b"n", b"xxx", &packed].concat());
        }
        let [count, at] = [entries.len(), archive.len()].map(le32);
        archive.extend(&directory);
        archive.extend([END, &[0; 6], &count[..2], &[0; 4], &at, &[7, 0], b"comment"].concat());
        archive
    }

    #[test]
    fn entries_are_read_whether_stored_or_deflated() {
        let archive = archive(&[stored(b"one"), deflated(&[b'2'; 1000]), stored(b"")]);
        let expected = [b"one".to_vec(), vec![b'2'; 1000], Vec::new()];
        assert_eq!(contents(&archive, 1000).unwrap(), expected);
        assert_eq!(
            contents(&archive, 999).unwrap(),
            [b"one".to_vec(), Vec::new()],
            "what is longer is left out"
        );
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_harmless() {
        let whole = archive(&[stored(b"one"), deflated(b"twotwotwo")]);
        for length in 0..whole.len() {
            assert_eq!(
                contents(&whole[..length], 1000).unwrap_or_default().len(),
                2 * usize::from(length + 7 >= whole.len())
            );
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                for found in contents(&changed, 1000).unwrap_or_default() {
                    assert!([&b"one"[..], b"twotwotwo"].contains(&found.as_slice()), "byte {at} = {value}");
                }
            }
        }
    }

    #[test]
    fn bombs_are_left_out() {
        let bomb = vec![0; 50 << 20];
        let honest = Made { method: 8, length: bomb.len(), contents: bomb };
        let lying = Made { length: 10, ..deflated(&honest.contents) };
        let archive = archive(&[honest, lying, stored(b"one")]);
        assert!(archive.len() < 200_000);
        assert_eq!(contents(&archive, 64 * 1024).unwrap(), [b"one"]);
    }

    #[test]
    fn many_entries_inflate_to_no_more_than_all_may() {
        let entries: Vec<Made> = (0..400).map(|_| deflated(&[0; 64 * 1024])).collect();
        let found = contents(&archive(&entries), 64 * 1024).unwrap();
        assert_eq!(found.len(), MAX_TOTAL_BYTES / (64 * 1024));
    }

    #[test]
    fn other_methods_and_encrypted_entries_are_left_out() {
        let mut encrypted = archive(&[stored(b"one")]);
        let at = encrypted.windows(4).position(|window| window == ENTRY).unwrap();
        encrypted[at + 8] |= 1;
        assert!(contents(&encrypted, 1000).unwrap().is_empty());
        let unknown = Made { method: 12, ..stored(b"one") };
        assert!(contents(&archive(&[unknown]), 1000).unwrap().is_empty());
        assert_eq!(contents(b"no archive at all, but long enough to be one", 1000), None);
    }
}
