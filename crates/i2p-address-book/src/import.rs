use crate::feed::{LineError, SignatureError};

/// How many refused lines a report names.
const MAX_REFUSED: usize = 100;

/// Why a line of a feed was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It says nothing that could be followed.
    #[error(transparent)]
    Line(LineError),
    /// A command without the signatures of the keys that it is about.
    #[error(transparent)]
    Signature(SignatureError),
    /// A command whose `expires` is over.
    #[error("the command has expired")]
    Expired,
    /// A command whose `date` is more than a day ahead of our clock.
    #[error("the command has a date in the future")]
    FromTheFuture,
    /// The name that the command is about has another destination here.
    #[error("the name belongs to another destination")]
    NotTheirName,
    /// A person added the name. Only a person changes it.
    #[error("the name was added by hand")]
    KeptByHand,
    /// The name has eight destinations.
    #[error("the name has as many destinations as a name can have")]
    TooManyDestinations,
    /// [`Limits::max_entries`](crate::Limits::max_entries).
    #[error("the address book is full")]
    BookFull,
    /// [`Limits::max_entries_per_source`](crate::Limits::max_entries_per_source).
    #[error("this source has brought as many names as a source may")]
    SourceFull,
}

/// A line that was refused, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Refused {
    /// The line, counted from 1.
    pub line: u64,
    /// The reason.
    pub reason: Refusal,
}

/// What came of an import. Each line that is not empty and no comment is counted once, but for `removed`: one command
/// may remove many names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Names that are new.
    pub added: u64,
    /// Commands that changed a name or a destination.
    pub changed: u64,
    /// Names that their holders removed.
    pub removed: u64,
    /// Lines that the book agreed with before.
    pub same: u64,
    /// Lines that were true until the holder of the name changed or removed it, and old commands played again.
    pub superseded: u64,
    /// Lines that wanted another destination for a name that has one. The book stays as it is, and
    /// [`AddressBook::conflicts`](crate::AddressBook::conflicts) tells of them.
    pub conflicts: u64,
    /// Lines that were not followed for another reason.
    pub refused: u64,
    /// How many of these were commands with a date in the future: another day they may be followed, if the feed is read
    /// again.
    pub early: u64,
    /// The first hundred of those that were refused.
    pub reasons: Vec<Refused>,
    /// Whether the input ended at [`Limits::max_import_bytes`](crate::Limits::max_import_bytes) and not by itself.
    pub cut: bool,
}

impl Report {
    pub(crate) fn refuse(&mut self, line: u64, reason: Refusal) {
        self.refused += 1;
        self.early += u64::from(reason == Refusal::FromTheFuture);
        if self.reasons.len() < MAX_REFUSED {
            self.reasons.push(Refused { line, reason });
        }
    }
}
