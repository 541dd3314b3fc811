//! Names that are spelt almost like another one.

use i2p_name::HostName;

use super::{
    address_book::AddressBook,
    ledger::{ENTRIES, host_name},
};
use crate::error::BookError;

/// From this many characters on, two differences are few.
const LONG_NAME: usize = 8;

impl AddressBook {
    /// Returns names that are spelt almost like this one, the most similar first, at most `limit`. Reads all names.
    ///
    /// # Errors
    /// The errors of [`AddressBook::lookup`].
    pub fn similar(&self, host: &HostName, limit: usize) -> Result<Vec<HostName>, BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(ENTRIES)?;
        let mut found = Vec::new();
        for item in table.range::<&str>(..)? {
            let (name, _) = item?;
            if let Some(difference) = difference(name.value(), host.as_str()) {
                found.push((difference, name.value().to_owned()));
                // The list stays short, whatever the book contains.
                if found.len() > 2 * limit {
                    found.sort();
                    found.truncate(limit);
                }
            }
        }
        found.sort();
        found.truncate(limit);
        found.into_iter().map(|(_, name)| host_name(name.as_bytes())).collect()
    }
}

/// How many characters two names differ in, if those are few: letters that are missing, added, changed, or swapped with the next one.
/// Names that differ only in hyphens and dots are always similar. `None` also if they are the same.
#[must_use]
pub fn difference(one: &str, other: &str) -> Option<usize> {
    let name = |text: &str| text.strip_suffix(".i2p").unwrap_or(text).as_bytes().to_vec();
    let (one, other) = (name(one), name(other));
    if one == other {
        return None;
    }
    let most = if one.len().min(other.len()) < LONG_NAME { 1 } else { 2 };
    if one.len().abs_diff(other.len()) <= most {
        let distance = distance(&one, &other);
        if distance <= most {
            return Some(distance);
        }
    }
    let letters =
        |name: &[u8]| name.iter().filter(|byte| byte.is_ascii_alphanumeric()).copied().collect::<Vec<_>>();
    (letters(&one) == letters(&other)).then_some(most)
}

/// The number of edits that make one text of the other (optimal string alignment).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, compared) in other.iter().enumerate() {
            let changed = at(&last, column) + usize::from(letter != compared);
            let mut fewest = changed.min(at(&last, column + 1) + 1).min(at(&this, column) + 1);
            let swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(compared)
                && other.get(column - 1) == Some(letter);
            if swapped {
                fewest = fewest.min(at(&before, column - 1) + 1);
            }
            this.push(fewest);
        }
        before = std::mem::replace(&mut last, this);
    }
    at(&last, other.len())
}

#[cfg(test)]
mod tests {
    use i2p_name::Destination;

    use super::*;

    #[test]
    fn names_with_few_differences_are_similar() {
        for (one, other, expected) in [
            ("stats.i2p", "stast.i2p", Some(1)),
            ("stats.i2p", "stat.i2p", Some(1)),
            ("stats.i2p", "statss.i2p", Some(1)),
            ("stats.i2p", "state.i2p", Some(1)),
            ("stats.i2p", "stxx.i2p", None),
            ("stats.i2p", "stats.i2p", None),
            ("forum-of-all.i2p", "forumofall.i2p", Some(2)),
            ("a-b.c.i2p", "abc.i2p", Some(1)),
            ("echelon.i2p", "echlon.i2p", Some(1)),
            ("longer-name.i2p", "lonegr-nane.i2p", Some(2)),
            ("longer-name.i2p", "longest-game.i2p", None),
        ] {
            assert_eq!(difference(one, other), expected, "{one} {other}");
            assert_eq!(difference(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn the_most_similar_names_of_a_book_come_first() {
        let directory = tempfile::tempdir().unwrap();
        let book = AddressBook::open(directory.path().join("names.redb")).unwrap();
        let destination = Destination::from_bytes([&[1; 384][..], &[0, 0, 0]].concat()).unwrap();
        for name in ["longer-nnme.i2p", "longer-nnne.i2p", "other.i2p", "longer-name.i2p", "zlonger-name.i2p"]
        {
            book.add(&name.parse().unwrap(), &destination).unwrap();
        }
        let similar = |limit| {
            let found = book.similar(&"longer-name.i2p".parse().unwrap(), limit).unwrap();
            found.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(similar(9), ["longer-nnme.i2p", "zlonger-name.i2p", "longer-nnne.i2p"]);
        assert_eq!(similar(1), ["longer-nnme.i2p"]);
    }
}
