use crate::feed::{LineError, SignatureError};

/// The number of refused lines that a report lists.
const MAX_LISTED_LINES: usize = 100;

/// Why a line of a feed was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineRefusal {
    /// The line is not valid.
    #[error(transparent)]
    Line(LineError),
    /// The command lacks a valid signature of a key that it needs.
    #[error(transparent)]
    Signature(SignatureError),
    /// The command's `expires` has passed.
    #[error("the command has expired")]
    Expired,
    /// The command's `date` is more than a day ahead of our clock.
    #[error("the command has a date in the future")]
    FromTheFuture,
    /// The name in the command belongs to another destination in this book.
    #[error("the name belongs to another destination")]
    NotHolder,
    /// The user added the name, and only the user may change it.
    #[error("the name was added by hand")]
    KeptByHand,
    /// The name has eight destinations already.
    #[error("the name has the maximum number of destinations")]
    TooManyDestinations,
    /// The book has [`Limits::max_entries`](crate::Limits::max_entries) names.
    #[error("the address book is full")]
    BookFull,
    /// The source has [`Limits::max_entries_per_source`](crate::Limits::max_entries_per_source) names in the book.
    #[error("this source has the maximum number of names in the book")]
    SourceFull,
}

/// A refused line and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RefusedLine {
    /// The number of the line, counted from 1.
    pub line: u64,
    /// The reason.
    pub reason: LineRefusal,
}

/// The result of an import. Each line that is not empty and not a comment counts once, except in `removed`: one command can
/// remove many names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// New names.
    pub added: u64,
    /// Commands that changed a name or a destination.
    pub changed: u64,
    /// Names removed by their holders.
    pub removed: u64,
    /// Lines that changed nothing because the book had the same content.
    pub same: u64,
    /// Outdated lines: the holder of the name has changed or removed it since, or the command is a replay.
    pub superseded: u64,
    /// Lines with another destination for a name that has one. They change nothing, and
    /// [`AddressBook::conflicts`](crate::AddressBook::conflicts) lists them.
    pub conflicts: u64,
    /// Lines refused for another reason.
    pub refused: u64,
    /// The refused commands with a date in the future. If the feed is read again on another day, they may be accepted.
    pub future_dated: u64,
    /// The first hundred refused lines.
    pub refused_lines: Vec<RefusedLine>,
    /// Whether the input exceeded [`Limits::max_import_bytes`](crate::Limits::max_import_bytes), so that its end was not read.
    pub truncated: bool,
}

impl ImportReport {
    /// Whether the input is something else than a `hosts.txt` or a feed, such as a web page: it has lines, and none of them has the
    /// form of an entry or a command.
    #[must_use]
    pub fn is_not_a_feed(&self) -> bool {
        let understood =
            self.added + self.changed + self.removed + self.same + self.superseded + self.conflicts;
        let is_malformed = |refused: &RefusedLine| matches!(refused.reason, LineRefusal::Line(_));
        self.refused > 0 && understood == 0 && self.refused_lines.iter().all(is_malformed)
    }

    pub(crate) fn refuse(&mut self, line: u64, reason: LineRefusal) {
        self.refused += 1;
        self.future_dated += u64::from(reason == LineRefusal::FromTheFuture);
        if self.refused_lines.len() < MAX_LISTED_LINES {
            self.refused_lines.push(RefusedLine { line, reason });
        }
    }
}
