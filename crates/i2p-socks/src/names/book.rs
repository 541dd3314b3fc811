//! The address book of this program: one file in the state directory.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use i2p_address_book::{AddressBook, BookError, FeedName, FeedState, ImportReport};
use i2p_name::{Destination, HostName, I2pName};
use i2p_tunnel::NameSource;

/// The book's file, in the state directory.
pub(crate) const FILE: &str = "names.redb";
/// What is imported at each start if it has changed, from the state directory; and what its names come from.
const HOSTS: &str = "hosts.txt";

/// The book while the proxy runs. Clones are the same book.
#[derive(Clone)]
pub(crate) struct Book {
    file: Arc<AddressBook>,
    /// Whether it was said that it cannot be read.
    said: Arc<AtomicBool>,
}

impl Book {
    /// Opens the book of a state directory, and reads a new `hosts.txt` there into it.
    ///
    /// # Errors
    /// Why there is none, for a person.
    pub(crate) async fn open(state_dir: PathBuf) -> Result<Self, String> {
        let opened = tokio::task::spawn_blocking(move || {
            let file = AddressBook::open(state_dir.join(FILE)).map_err(|error| explain(&error))?;
            import_hosts(&file, &state_dir.join(HOSTS));
            Ok(Self { file: Arc::new(file), said: Arc::default() })
        });
        opened.await.unwrap_or_else(|_| Err("the address book could not be opened".to_owned()))
    }

    /// Does something with the file that may wait for the disk for long.
    ///
    /// # Errors
    /// What the work says, and that it came to no end.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AddressBook) -> Result<T, BookError> + Send + 'static,
    ) -> Result<T, String> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || work(&file).map_err(|error| explain(&error))).await;
        done.unwrap_or_else(|_| Err("the address book could not be used".to_owned()))
    }

    pub(crate) fn file(&self) -> &Arc<AddressBook> {
        &self.file
    }

    fn destination_of(&self, host: &HostName) -> Option<Destination> {
        match self.file.lookup(host) {
            Ok(found) => found,
            Err(error) => {
                if !self.said.swap(true, Relaxed) {
                    tracing::error!("{}: names are looked up elsewhere from now on", explain(&error));
                }
                None
            }
        }
    }
}

impl NameSource for Book {
    fn find(&self, name: &HostName) -> Option<I2pName> {
        self.destination_of(name).map(I2pName::from)
    }
}

#[cfg(feature = "embedded")]
impl i2p_embedded::HostNames for Book {
    fn destination(&self, host: &HostName) -> Option<Destination> {
        self.destination_of(host)
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Book(..)")
    }
}

/// What is wrong with a book, and what the system says of it.
pub(crate) fn explain(error: &BookError) -> String {
    let mut text = match error {
        BookError::InUse { .. } => format!("{error}: stop that program, or wait until it has ended"),
        error => error.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Reads `hosts.txt`, unless it is the one that was read before. What is wrong with it is said, and is no reason not to start.
fn import_hosts(book: &AddressBook, path: &Path) {
    let version = match fs::metadata(path) {
        Ok(found) => version(&found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return tracing::warn!("cannot read {}: {error}", path.display()),
    };
    let feed = FeedName::new(HOSTS);
    let known = book.feed_state(&feed).unwrap_or_default();
    if known.etag == version && version.is_some() {
        return;
    }
    let imported = fs::File::open(path)
        .map_err(BookError::Read)
        .and_then(|file| book.import(std::io::BufReader::new(file), &feed))
        .and_then(|report| {
            let etag = version.filter(|_| is_done_with(&report));
            let checked = Some(SystemTime::now());
            book.set_feed_state(&feed, &FeedState { etag, checked, last_modified: None })?;
            Ok(report)
        });
    match imported {
        Ok(report) => tracing::info!(
            added = report.added,
            same = report.same,
            conflicts = report.conflicts,
            refused = report.refused,
            "host names read from hosts.txt"
        ),
        Err(error) => tracing::warn!("not all of {} was read: {}", path.display(), explain(&error)),
    }
}

/// Whether a feed needs to be read again only when it has changed: not if some of it was not read, or is not to be followed
/// before tomorrow.
pub(super) fn is_done_with(report: &ImportReport) -> bool {
    !report.truncated && report.future_dated == 0
}

/// What tells one version of a file from another.
fn version(found: &fs::Metadata) -> Option<String> {
    let modified = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}-{}", modified.as_nanos(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_wholly_followed_is_read_again() {
        let mut report = ImportReport::default();
        assert!(is_done_with(&report));
        report.refused = 1;
        assert!(is_done_with(&report), "a bad line stays one");
        report.future_dated = 1;
        assert!(!is_done_with(&report));
        (report.future_dated, report.truncated) = (0, true);
        assert!(!is_done_with(&report));
    }
}
