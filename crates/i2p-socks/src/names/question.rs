//! What the commands ask of the address book, and what it answers: by the control socket of a running proxy, or, where none
//! runs, in this process.

use std::time::{SystemTime, UNIX_EPOCH};

use i2p_address_book::{AddressBook, BookEntry, BookError, FeedName, ImportReport};
use i2p_name::{Destination, HostName};
use serde::{Deserialize, Serialize};

use super::book::explain;
use crate::config::i2p_url::I2pUrl;

pub(crate) const NAMES: &str = "/names";
pub(crate) const IMPORT: &str = "/names/import";
pub(crate) const EXPORT: &str = "/names/export";
pub(crate) const UPDATE: &str = "/names/update";
/// The field that says what an import is called.
pub(crate) const FEED: &str = "feed";
/// The most names of one answer.
pub(crate) const PAGE: usize = 500;
/// The latest time that is shown as a date: the last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Question {
    /// The names from one on, at most [`PAGE`].
    List { prefix: String, after: Option<String> },
    /// One name.
    Find { name: String },
    /// Put a name into the book, in place of another destination if told so.
    Add { name: String, destination: String, replace: bool },
    /// Take a name out of it.
    Remove { name: String },
    /// The conflicts, the newest first.
    Conflicts,
    /// Forget those about a name.
    Settle { name: String },
    /// The subscriptions.
    Feeds,
    /// Another one.
    Subscribe { url: I2pUrl },
    /// One less.
    Unsubscribe { url: I2pUrl },
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    Names(Vec<Name>),
    Name(Option<Name>),
    /// Whether there was anything to do.
    Done(bool),
    Conflicts(Vec<Conflict>),
    Feeds(Vec<Feed>),
}

/// A name of the book.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    /// Of the first destination.
    pub(crate) b32: String,
    /// In base64, the one that a lookup gives first.
    pub(crate) destinations: Vec<String>,
    pub(crate) source: String,
    pub(crate) added: String,
}

/// Somebody wanted another destination for a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Conflict {
    pub(crate) name: String,
    pub(crate) kept_b32: String,
    pub(crate) offered_b32: String,
    /// In base64, for who wants to have it instead.
    pub(crate) offered: String,
    pub(crate) source: String,
    pub(crate) at: String,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Feed {
    pub(crate) url: String,
    /// Whether the configuration has it, and so only the configuration can be rid of it.
    pub(crate) configured: bool,
    /// When it was last seen to be as we have it.
    pub(crate) checked: Option<String>,
    /// Why it could not be read the last time.
    pub(crate) problem: Option<String>,
}

/// What came of an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub(crate) added: u64,
    pub(crate) changed: u64,
    pub(crate) removed: u64,
    pub(crate) same: u64,
    pub(crate) superseded: u64,
    pub(crate) conflicts: u64,
    pub(crate) refused: u64,
    /// Whether there was more than is read.
    pub(crate) cut: bool,
    /// Why lines were refused: the first hundred.
    pub(crate) reasons: Vec<String>,
}

/// What came of reading a subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Updated {
    pub(crate) url: String,
    /// None: it has not changed, or could not be read.
    pub(crate) imported: Option<Imported>,
    pub(crate) problem: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Whoever asked is at fault.
    Question(String),
    /// The book is.
    Book(String),
}

impl From<BookError> for Refusal {
    fn from(error: BookError) -> Self {
        match error {
            BookError::NameTaken => Self::Question(
                "the name stands for another destination already, and stays as it is; --replace puts this one in its place"
                    .to_owned(),
            ),
            error => Self::Book(explain(&error)),
        }
    }
}

impl Question {
    /// Whether it changes what names stand for.
    pub(crate) const fn changes_names(&self) -> bool {
        matches!(self, Self::Add { .. } | Self::Remove { .. })
    }

    /// Whether it changes which feeds are read.
    pub(crate) const fn changes_feeds(&self) -> bool {
        matches!(self, Self::Subscribe { .. } | Self::Unsubscribe { .. })
    }

    /// The answer to it when there is no book; none, where one has to be made first.
    pub(crate) fn without_book(&self, configured: &[I2pUrl]) -> Option<Reply> {
        match self {
            Self::List { .. } => Some(Reply::Names(Vec::new())),
            Self::Find { .. } => Some(Reply::Name(None)),
            Self::Remove { .. } | Self::Settle { .. } | Self::Unsubscribe { .. } => Some(Reply::Done(false)),
            Self::Conflicts => Some(Reply::Conflicts(Vec::new())),
            Self::Feeds => {
                let feed = |url: &I2pUrl| Feed {
                    url: url.to_string(),
                    configured: true,
                    checked: None,
                    problem: None,
                };
                Some(Reply::Feeds(configured.iter().map(feed).collect()))
            }
            Self::Add { .. } | Self::Subscribe { .. } => None,
        }
    }

    /// The answer of this book. Blocks.
    pub(crate) fn answer(self, book: &AddressBook, configured: &[I2pUrl]) -> Result<Reply, Refusal> {
        Ok(match self {
            Self::List { prefix, after } => {
                let after = after.as_deref().map(host).transpose()?;
                let entries = book.list(&prefix, after.as_ref(), PAGE)?;
                Reply::Names(entries.into_iter().map(Name::from).collect())
            }
            Self::Find { name } => Reply::Name(book.entry(&host(&name)?)?.map(Name::from)),
            Self::Add { name, destination, replace } => {
                let (host, destination) = (host(&name)?, destination_of(&destination)?);
                if replace {
                    book.replace(&host, &destination)?;
                } else {
                    book.add(&host, &destination)?;
                }
                Reply::Done(true)
            }
            Self::Remove { name } => Reply::Done(book.remove(&host(&name)?)?),
            Self::Conflicts => {
                Reply::Conflicts(book.conflicts(PAGE)?.into_iter().map(Conflict::from).collect())
            }
            Self::Settle { name } => Reply::Done(book.drop_conflicts(&host(&name)?)? > 0),
            Self::Feeds => Reply::Feeds(feeds(book, configured)?),
            Self::Subscribe { url } => Reply::Done(book.subscribe(&FeedName::new(&url.to_string()))?),
            Self::Unsubscribe { url } if configured.contains(&url) => {
                return Err(Refusal::Question(
                    "the configuration has this subscription: take it out of [names] there".to_owned(),
                ));
            }
            Self::Unsubscribe { url } => Reply::Done(book.unsubscribe(&FeedName::new(&url.to_string()))?),
        })
    }
}

fn host(name: &str) -> Result<HostName, Refusal> {
    name.parse().map_err(|error| Refusal::Question(format!("that is no host name of I2P: {error}")))
}

fn destination_of(text: &str) -> Result<Destination, Refusal> {
    text.parse().map_err(|error| Refusal::Question(format!("that is no destination in base64: {error}")))
}

fn feeds(book: &AddressBook, configured: &[I2pUrl]) -> Result<Vec<Feed>, BookError> {
    let kept = book.subscriptions()?;
    let configured_names: Vec<_> = configured.iter().map(|url| FeedName::new(&url.to_string())).collect();
    let others = kept.iter().filter(|feed| !configured_names.contains(feed));
    let all = configured_names.iter().map(|feed| (feed, true)).chain(others.map(|feed| (feed, false)));
    all.map(|(feed, configured)| {
        let checked = book.feed_state(feed)?.checked.map(date);
        Ok(Feed { url: feed.as_str().to_owned(), configured, checked, problem: None })
    })
    .collect()
}

/// As RFC 3339 has it, in UTC.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match seconds {
        0..=LAST_SECOND => humantime::format_rfc3339_seconds(time).to_string(),
        _ => "after the year 9999".to_owned(),
    }
}

impl From<BookEntry> for Name {
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

impl From<i2p_address_book::Conflict> for Conflict {
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

impl From<ImportReport> for Imported {
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
            reasons: report.refused_lines.iter().map(ToString::to_string).collect(),
        }
    }
}
