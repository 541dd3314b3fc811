//! Commands on the address book, and their replies. They run in the proxy, over the control socket, or in this process if no proxy is
//! running.

use std::time::{SystemTime, UNIX_EPOCH};

use i2p_address_book::{AddressBook, BookEntry, BookError, FeedName, ImportReport};
use i2p_name::{Destination, HostName};
use serde::{Deserialize, Serialize};

use super::book::explain;
use crate::config::i2p_url::I2pUrl;

pub(crate) const NAMES_PATH: &str = "/names";
pub(crate) const IMPORT_PATH: &str = "/names/import";
pub(crate) const EXPORT_PATH: &str = "/names/export";
pub(crate) const UPDATE_PATH: &str = "/names/update";
pub(crate) const RESOLVE_PATH: &str = "/names/resolve";
pub(crate) const DESTINATION_PATH: &str = "/names/destination";
/// The header field with the name of the source of an import.
pub(crate) const FEED_FIELD: &str = "feed";
/// The most names or conflicts in one reply.
const MAX_ENTRIES: usize = 500;
/// The last second of the year 9999, the latest time that is shown as a date.
const MAX_DATE_SECONDS: u64 = 253_402_300_799;

/// A command on the address book.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum BookCommand {
    /// List the names with a prefix, in order, after one that was listed before; at most `MAX_ENTRIES`.
    List { prefix: String, after: Option<String> },
    /// Look up one name.
    Find { name: String },
    /// Add a name; with `replace`, in place of another destination.
    Add { name: String, destination: String, replace: bool },
    /// Remove a name.
    Remove { name: String },
    /// List the conflicts, the newest first.
    Conflicts,
    /// Forget the conflicts about a name.
    Settle { name: String },
    /// List the subscriptions.
    Feeds,
    /// Add a subscription.
    Subscribe { url: I2pUrl },
    /// Remove a subscription.
    Unsubscribe { url: I2pUrl },
}

/// The reply to a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BookReply {
    Names(Vec<NameEntry>),
    Name(Option<NameEntry>),
    /// Whether the command changed anything.
    Done(bool),
    Conflicts(Vec<NameConflict>),
    Feeds(Vec<Subscription>),
}

/// A name in the address book.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NameEntry {
    pub(crate) name: String,
    /// The base32 address of the first destination.
    pub(crate) b32: String,
    /// In base64. A lookup returns the first.
    pub(crate) destinations: Vec<String>,
    pub(crate) source: String,
    pub(crate) added: String,
}

/// A source offered another destination for a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct NameConflict {
    pub(crate) name: String,
    pub(crate) kept_b32: String,
    pub(crate) offered_b32: String,
    /// The offered destination in base64, to replace the other one with.
    pub(crate) offered: String,
    pub(crate) source: String,
    pub(crate) at: String,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Subscription {
    pub(crate) url: String,
    /// Whether it is in the configuration. Then it can only be removed there.
    pub(crate) configured: bool,
    /// When it was last read, or found unchanged.
    pub(crate) checked: Option<String>,
    /// Why the last read failed, if it did.
    pub(crate) problem: Option<String>,
}

/// The result of an import: how many names or lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImportCounts {
    pub(crate) added: u64,
    pub(crate) changed: u64,
    pub(crate) removed: u64,
    pub(crate) same: u64,
    pub(crate) superseded: u64,
    pub(crate) conflicts: u64,
    pub(crate) refused: u64,
    /// Whether the input was longer than the limit.
    pub(crate) cut: bool,
    /// Whether the input has lines, and none of them is one of a `hosts.txt` or a feed.
    pub(crate) not_a_feed: bool,
    /// Why the first hundred refused lines were refused.
    pub(crate) reasons: Vec<String>,
}

/// The result of reading a subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FeedUpdate {
    pub(crate) url: String,
    /// `None`: it has not changed, or could not be read.
    pub(crate) imported: Option<ImportCounts>,
    pub(crate) problem: Option<String>,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum BookCommandError {
    /// The command is wrong.
    Command(String),
    /// The address book failed.
    Book(String),
}

impl From<BookError> for BookCommandError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::NameTaken => Self::Command(
                "the name already has another destination, which was kept; --replace replaces it".to_owned(),
            ),
            error => Self::Book(explain(&error)),
        }
    }
}

impl BookCommandError {
    /// The reason, for people.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Command(reason) | Self::Book(reason) => reason,
        }
    }
}

impl BookCommand {
    /// Whether it changes names.
    pub(super) const fn changes_names(&self) -> bool {
        matches!(self, Self::Add { .. } | Self::Remove { .. })
    }

    /// Whether it changes the subscriptions.
    pub(super) const fn changes_feeds(&self) -> bool {
        matches!(self, Self::Subscribe { .. } | Self::Unsubscribe { .. })
    }

    /// The reply if there is no address book; `None` if the command has to create it.
    pub(crate) fn reply_without_book(&self, configured: &[I2pUrl]) -> Option<BookReply> {
        match self {
            Self::List { .. } => Some(BookReply::Names(Vec::new())),
            Self::Find { .. } => Some(BookReply::Name(None)),
            Self::Remove { .. } | Self::Settle { .. } | Self::Unsubscribe { .. } => {
                Some(BookReply::Done(false))
            }
            Self::Conflicts => Some(BookReply::Conflicts(Vec::new())),
            Self::Feeds => {
                let subscription = |url: &I2pUrl| Subscription {
                    url: url.text(),
                    configured: true,
                    checked: None,
                    problem: None,
                };
                Some(BookReply::Feeds(configured.iter().map(subscription).collect()))
            }
            Self::Add { .. } | Self::Subscribe { .. } => None,
        }
    }

    /// Runs the command on a book. Blocks.
    pub(crate) fn run(
        self,
        book: &AddressBook,
        configured: &[I2pUrl],
    ) -> Result<BookReply, BookCommandError> {
        Ok(match self {
            Self::List { prefix, after } => {
                let after = after.as_deref().map(host).transpose()?;
                let entries = book.list(&prefix, after.as_ref(), MAX_ENTRIES)?;
                BookReply::Names(entries.into_iter().map(NameEntry::from).collect())
            }
            Self::Find { name } => BookReply::Name(book.entry(&host(&name)?)?.map(NameEntry::from)),
            Self::Add { name, destination, replace } => {
                let (host, destination) =
                    (host(&name)?, destination_of(&destination).map_err(BookCommandError::Command)?);
                if replace {
                    book.replace(&host, &destination)?;
                } else {
                    book.add(&host, &destination)?;
                }
                BookReply::Done(true)
            }
            Self::Remove { name } => BookReply::Done(book.remove(&host(&name)?)?),
            Self::Conflicts => BookReply::Conflicts(
                book.conflicts(MAX_ENTRIES)?.into_iter().map(NameConflict::from).collect(),
            ),
            Self::Settle { name } => BookReply::Done(book.drop_conflicts(&host(&name)?)? > 0),
            Self::Feeds => BookReply::Feeds(feeds(book, configured)?),
            Self::Subscribe { url } => BookReply::Done(book.subscribe(&FeedName::new(&url.text()))?),
            Self::Unsubscribe { url } if configured.contains(&url) => {
                return Err(BookCommandError::Command(
                    "this subscription is in the configuration: remove it from [names] there".to_owned(),
                ));
            }
            Self::Unsubscribe { url } => BookReply::Done(book.unsubscribe(&FeedName::new(&url.text()))?),
        })
    }
}

fn host(name: &str) -> Result<HostName, BookCommandError> {
    name.parse().map_err(|error| BookCommandError::Command(format!("not a host name in I2P: {error}")))
}

/// A destination in base64.
///
/// # Errors
/// Why it is none, for people.
pub(crate) fn destination_of(text: &str) -> Result<Destination, String> {
    text.parse().map_err(|error| format!("not a destination in base64, and not a .b32.i2p address: {error}"))
}

fn feeds(book: &AddressBook, configured: &[I2pUrl]) -> Result<Vec<Subscription>, BookError> {
    let kept = book.subscriptions()?;
    let configured_names: Vec<_> = configured.iter().map(|url| FeedName::new(&url.text())).collect();
    let others = kept.iter().filter(|feed| !configured_names.contains(feed));
    let all = configured_names.iter().map(|feed| (feed, true)).chain(others.map(|feed| (feed, false)));
    all.map(|(feed, configured)| {
        let checked = book.feed_state(feed)?.checked.map(date);
        Ok(Subscription { url: feed.as_str().to_owned(), configured, checked, problem: None })
    })
    .collect()
}

/// A time as in RFC 3339, in UTC.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match seconds {
        0..=MAX_DATE_SECONDS => humantime::format_rfc3339_seconds(time).to_string(),
        _ => "after the year 9999".to_owned(),
    }
}

impl From<BookEntry> for NameEntry {
    fn from(entry: BookEntry) -> Self {
        Self {
            name: entry.host.as_str().to_owned(),
            b32: entry.destinations.first().map(|first| first.b32().to_string()).unwrap_or_default(),
            destinations: entry.destinations.iter().map(Destination::to_base64).collect(),
            source: entry.source.to_string(),
            added: date(entry.added),
        }
    }
}

impl From<i2p_address_book::Conflict> for NameConflict {
    fn from(conflict: i2p_address_book::Conflict) -> Self {
        Self {
            name: conflict.host.as_str().to_owned(),
            kept_b32: conflict.kept.b32().to_string(),
            offered_b32: conflict.offered.b32().to_string(),
            offered: conflict.offered.to_base64(),
            source: conflict.source.to_string(),
            at: date(conflict.at),
        }
    }
}

impl From<ImportReport> for ImportCounts {
    fn from(report: ImportReport) -> Self {
        Self {
            added: report.added,
            changed: report.changed,
            removed: report.removed,
            same: report.same,
            superseded: report.superseded,
            conflicts: report.conflicts,
            refused: report.refused,
            cut: report.truncated,
            not_a_feed: report.is_not_a_feed(),
            reasons: report.refused_lines.iter().map(ToString::to_string).collect(),
        }
    }
}
