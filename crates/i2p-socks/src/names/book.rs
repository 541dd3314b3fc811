//! The address book of the proxy: one file in the state directory.

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

use super::open_book;

/// The file of the address book, in the state directory.
pub(crate) const BOOK_FILE: &str = "names.redb";
/// A file in the state directory that is imported at each start if it has changed. Also the source of its names.
const HOSTS_FILE: &str = "hosts.txt";

/// What follows from a failure to write, and what to do.
const UNTIL_WRITTEN: &str = "Its names are found, but none is added or removed as long as the disk takes no data: make room on the \
                             disk. The next change then opens the address book again";

/// The same for the status.
const CANNOT_BE_WRITTEN: &str = "it could not be written. Its names are found, but none is added or removed as long as the disk takes \
                                 no data: make room on the disk. The next change then opens it again";

/// The address book of the running proxy. Clones share it.
#[derive(Clone)]
pub(crate) struct SharedBook {
    file: Arc<AddressBook>,
    /// Whether a read error was logged already.
    error_logged: Arc<AtomicBool>,
    /// Whether a failure to write was logged already, and no change has succeeded since.
    failure_logged: Arc<AtomicBool>,
}

impl SharedBook {
    /// Opens the book of a state directory, and imports a new `hosts.txt` from there.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) async fn open(state_dir: PathBuf) -> Result<Self, String> {
        let opened = tokio::task::spawn_blocking(move || {
            let file = open_book::open(&state_dir.join(BOOK_FILE)).map_err(|error| explain(&error))?;
            import_hosts(&file, &state_dir.join(HOSTS_FILE));
            Ok(Self { file: Arc::new(file), error_logged: Arc::default(), failure_logged: Arc::default() })
        });
        opened.await.unwrap_or_else(|_| Err("the address book could not be opened".to_owned()))
    }

    /// Runs work on the book that may block on the disk.
    ///
    /// # Errors
    /// The error of the work, or that it did not finish.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AddressBook) -> Result<T, BookError> + Send + 'static,
    ) -> Result<T, String> {
        let (file, failure_logged) = (Arc::clone(&self.file), Arc::clone(&self.failure_logged));
        let work = move || {
            let worked = work(&file);
            let failed = file.has_failed();
            match (failure_logged.swap(failed, Relaxed), failed) {
                (false, true) => tracing::error!("the address book could not be written. {UNTIL_WRITTEN}"),
                (true, false) => tracing::info!("the address book can be written again"),
                _ => {}
            }
            worked.map_err(|error| explain(&error))
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.unwrap_or_else(|_| Err("the address book could not be used".to_owned()));
        done.map_err(|why| self.with_advice(why))
    }

    /// Why work on the book failed, with what to do if it cannot be changed any more.
    pub(super) fn with_advice(&self, why: String) -> String {
        if self.file.has_failed() { format!("{why}. {UNTIL_WRITTEN}") } else { why }
    }

    /// What is wrong with it now, without the end of the sentence.
    pub(super) fn failure(&self) -> Option<&'static str> {
        if self.file.has_failed() {
            Some(CANNOT_BE_WRITTEN)
        } else if self.error_logged.load(Relaxed) {
            Some("it cannot be read, so names are looked up without it. The log says why")
        } else {
            None
        }
    }

    pub(crate) fn file(&self) -> &Arc<AddressBook> {
        &self.file
    }

    fn destination_of(&self, host: &HostName) -> Option<Destination> {
        match self.file.lookup(host) {
            Ok(found) => found,
            Err(error) => {
                if !self.error_logged.swap(true, Relaxed) {
                    tracing::error!(
                        "{}: from now on, names are looked up without the address book",
                        explain(&error)
                    );
                }
                None
            }
        }
    }
}

impl NameSource for SharedBook {
    fn find(&self, name: &HostName) -> Option<I2pName> {
        self.destination_of(name).map(I2pName::from)
    }
}

impl fmt::Debug for SharedBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedBook(..)")
    }
}

/// An error of the address book, with its causes.
pub(crate) fn explain(error: &BookError) -> String {
    let mut text = match error {
        BookError::InUse { .. } => format!("{error}: stop that program, or wait until it ends"),
        error => error.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Imports `hosts.txt`, unless that version was imported before. Errors are logged and do not stop the start.
fn import_hosts(book: &AddressBook, path: &Path) {
    let version = match fs::metadata(path) {
        Ok(found) => version(&found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return tracing::warn!("cannot read {}: {error}", path.display()),
    };
    let feed = FeedName::new(HOSTS_FILE);
    let known = book.feed_state(&feed).unwrap_or_default();
    if known.etag == version && version.is_some() {
        return;
    }
    let imported = fs::File::open(path)
        .map_err(BookError::Read)
        .and_then(|file| book.import(std::io::BufReader::new(file), &feed))
        .and_then(|report| {
            let etag = version.filter(|_| was_followed_completely(&report));
            let checked = Some(SystemTime::now());
            book.set_feed_state(&feed, &FeedState { etag, checked, last_modified: None })?;
            Ok(report)
        });
    match imported {
        Ok(report) if report.is_not_a_feed() => tracing::warn!(
            "{} has no valid line, so no name was imported: each line is NAME=DESTINATION, with the destination in base64",
            path.display()
        ),
        Ok(report) => tracing::info!(
            added = report.added,
            same = report.same,
            conflicts = report.conflicts,
            refused = report.refused,
            "imported hosts.txt"
        ),
        Err(error) => tracing::warn!("{} was not imported completely: {}", path.display(), explain(&error)),
    }
}

/// Whether a feed was followed completely, so that it is read again only after a change. It was not if it was cut off, or if some of
/// its commands are dated in the future.
pub(super) fn was_followed_completely(report: &ImportReport) -> bool {
    !report.truncated && report.future_dated == 0
}

/// The modification time and the length of a file, to recognize a new version.
fn version(found: &fs::Metadata) -> Option<String> {
    let modified = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}-{}", modified.as_nanos(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_feed_is_read_again() {
        let mut report = ImportReport::default();
        assert!(was_followed_completely(&report));
        report.refused = 1;
        assert!(was_followed_completely(&report), "a bad line stays bad");
        report.future_dated = 1;
        assert!(!was_followed_completely(&report));
        (report.future_dated, report.truncated) = (0, true);
        assert!(!was_followed_completely(&report));
    }
}
