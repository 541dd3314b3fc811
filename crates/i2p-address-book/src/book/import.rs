use std::io::BufRead;

use i2p_name::{Destination, HostName};

use super::{
    address_book::AddressBook,
    apply::{FeedApplier, LineOutcome},
    ledger::ENTRIES,
    record::Record,
    time::now,
};
use crate::{
    error::BookError,
    feed::{Action, Entry, Line, Lines, VerifiedCommand},
    report::{ImportReport, LineRefusal},
    source::{FeedName, Source},
};

/// The number of lines that are read and verified before the store is locked for them.
const LINES_PER_BATCH: usize = 1_000;

/// A line ready to be applied to the book.
enum PreparedLine {
    Entry(Entry),
    Command(VerifiedCommand),
    /// A command to add what is in the book already, so its signature does not matter.
    AlreadyAdded,
    Refused(LineRefusal),
}

impl AddressBook {
    /// Imports a `hosts.txt` or a subscription feed from `reader`, up to its end or to
    /// [`Limits::max_import_bytes`](crate::Limits::max_import_bytes).
    ///
    /// Lines that are not valid are refused one by one and counted. A name in the book keeps its destination; a line with another
    /// destination is a conflict. Commands are carried out if their signatures are valid and the names belong to the signers.
    ///
    /// The call blocks while it reads. It reads and verifies a thousand lines at a time before it locks the store for them, so
    /// neither a slow reader nor a long feed delays other writers; lookups never wait. To verify one command takes up to a few
    /// milliseconds.
    ///
    /// # Errors
    /// [`BookError::Read`] and [`BookError::Storage`]. Lines imported before the error stay.
    pub fn import(&self, reader: impl BufRead, source: &FeedName) -> Result<ImportReport, BookError> {
        self.import_lines(reader, source, false)
    }

    /// Imports a file that the user has chosen, such as a backup. It differs from [`import`](Self::import) in one point: names that the
    /// user [removed](Self::remove) come back. Names that their holders removed do not.
    ///
    /// # Errors
    /// The errors of [`import`](Self::import).
    pub fn restore(&self, reader: impl BufRead, source: &FeedName) -> Result<ImportReport, BookError> {
        self.import_lines(reader, source, true)
    }

    fn import_lines(
        &self,
        reader: impl BufRead,
        source: &FeedName,
        restores: bool,
    ) -> Result<ImportReport, BookError> {
        let source = Source::Feed(source.clone());
        let mut report = ImportReport::default();
        let mut lines = Lines::with_limit(reader, self.limits.max_import_bytes);
        loop {
            let batch = self.read_batch(&mut lines)?;
            if batch.is_empty() {
                report.truncated = lines.limit_reached();
                return Ok(report);
            }
            self.write(|ledger| {
                let applier = FeedApplier { ledger, source: &source, restores };
                apply(&batch, applier, &mut report)
            })?;
        }
    }

    fn read_batch<R: BufRead>(&self, lines: &mut Lines<R>) -> Result<Vec<(u64, PreparedLine)>, BookError> {
        let mut batch = Vec::new();
        while batch.len() < LINES_PER_BATCH {
            let prepared = match lines.next() {
                None => break,
                Some(line) => match line.map_err(BookError::Read)? {
                    Ok(Line::Entry(entry)) => PreparedLine::Entry(entry),
                    Ok(Line::Command(command)) => match command.action() {
                        Action::Add { host } if self.has_destination(host, command.destination())? => {
                            PreparedLine::AlreadyAdded
                        }
                        _ => match command.verify() {
                            Ok(command) => PreparedLine::Command(command),
                            Err(error) => PreparedLine::Refused(LineRefusal::Signature(error)),
                        },
                    },
                    Err(failure) => PreparedLine::Refused(LineRefusal::Line(failure.error)),
                },
            };
            batch.push((lines.number(), prepared));
        }
        Ok(batch)
    }

    /// Whether a name in the book has this destination.
    fn has_destination(&self, host: &HostName, destination: &Destination) -> Result<bool, BookError> {
        let reading = self.store.read()?;
        let table = reading.open_table(ENTRIES)?;
        let bytes = table.get(host.as_str())?;
        Ok(bytes
            .and_then(|bytes| Record::decode(bytes.value()))
            .is_some_and(|record| record.has(destination)))
    }
}

fn apply(
    batch: &[(u64, PreparedLine)],
    mut applier: FeedApplier<'_, '_>,
    report: &mut ImportReport,
) -> Result<(), BookError> {
    applier.ledger.now = now();
    for (number, line) in batch {
        let outcome = match line {
            PreparedLine::Entry(entry) => applier.apply_entry(entry)?,
            PreparedLine::Command(command) => applier.apply_command(command)?,
            PreparedLine::AlreadyAdded => LineOutcome::Same,
            PreparedLine::Refused(reason) => LineOutcome::Refused(*reason),
        };
        match outcome {
            LineOutcome::Added => report.added += 1,
            LineOutcome::Changed => report.changed += 1,
            LineOutcome::Removed(names) => report.removed += names,
            LineOutcome::Same => report.same += 1,
            LineOutcome::Superseded => report.superseded += 1,
            LineOutcome::Conflict => report.conflicts += 1,
            LineOutcome::Refused(reason) => report.refuse(*number, reason),
        }
    }
    Ok(())
}
