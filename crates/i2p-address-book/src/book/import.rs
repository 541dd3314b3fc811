use std::io::BufRead;

use redb::ReadableDatabase;

use super::{
    AddressBook,
    apply::{Feed, Outcome},
    ledger::{ENTRIES, Ledger},
    now,
    record::Record,
};
use crate::{
    BookError, FeedName, Source,
    feed::{Action, Entry, Line, Lines, VerifiedCommand},
    import::{Refusal, Report},
};

/// Lines that are read and verified before the store is locked for them.
const BATCH: usize = 1_000;

/// A line that is ready to be applied.
enum Ready {
    Entry(Entry),
    Command(VerifiedCommand),
    /// A command that the book agrees with: its signature need not be looked at.
    Known,
    Refused(Refusal),
}

impl AddressBook {
    /// Imports a `hosts.txt` or a subscription feed: what `reader` gives up to its end or to
    /// [`Limits::max_import_bytes`](crate::Limits::max_import_bytes), whichever comes first.
    ///
    /// Bad lines are refused one by one and counted. A name that is in the book keeps its destination; a line that
    /// wants another is a conflict. Commands are followed when their signatures are right and the names theirs.
    ///
    /// Blocks while it reads. The store is locked for a thousand lines at a time, for which signatures were verified
    /// before and which were read before, so that neither a slow reader nor a long feed holds up other writers;
    /// lookups never wait. One command costs up to some milliseconds of verification.
    ///
    /// # Errors
    /// [`BookError::Read`] and [`BookError::Storage`]. What was imported before stays.
    pub fn import(&self, reader: impl BufRead, source: &FeedName) -> Result<Report, BookError> {
        let source = Source::Feed(source.clone());
        let mut report = Report::default();
        let mut lines = Lines::with_limit(reader, self.limits.max_import_bytes);
        loop {
            let batch = self.read_batch(&mut lines)?;
            if batch.is_empty() {
                report.cut = lines.is_cut();
                return Ok(report);
            }
            self.write(|ledger| apply(&batch, ledger, &source, &mut report))?;
        }
    }

    fn read_batch<R: BufRead>(&self, lines: &mut Lines<R>) -> Result<Vec<(u64, Ready)>, BookError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let ready = match lines.next() {
                None => break,
                Some(line) => match line.map_err(BookError::Read)? {
                    Ok(Line::Entry(entry)) => Ready::Entry(entry),
                    Ok(Line::Command(command)) => match command.action() {
                        Action::Add { host } if self.agrees(host.as_str(), command.destination())? => {
                            Ready::Known
                        }
                        _ => match command.verify() {
                            Ok(command) => Ready::Command(command),
                            Err(error) => Ready::Refused(Refusal::Signature(error)),
                        },
                    },
                    Err(failure) => Ready::Refused(Refusal::Line(failure.error)),
                },
            };
            batch.push((lines.number(), ready));
        }
        Ok(batch)
    }

    /// Whether a name has this destination.
    fn agrees(&self, host: &str, destination: &i2p_name::Destination) -> Result<bool, BookError> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        let bytes = table.get(host)?;
        Ok(bytes
            .and_then(|bytes| Record::decode(bytes.value()))
            .is_some_and(|record| record.has(destination)))
    }
}

fn apply(
    batch: &[(u64, Ready)],
    ledger: &mut Ledger<'_>,
    source: &Source,
    report: &mut Report,
) -> Result<(), BookError> {
    ledger.now = now();
    let mut feed = Feed { ledger, source };
    for (line, ready) in batch {
        let outcome = match ready {
            Ready::Entry(entry) => feed.entry(entry)?,
            Ready::Command(command) => feed.command(command)?,
            Ready::Known => Outcome::Same,
            Ready::Refused(reason) => Outcome::Refused(*reason),
        };
        match outcome {
            Outcome::Added => report.added += 1,
            Outcome::Changed => report.changed += 1,
            Outcome::Removed(names) => report.removed += names,
            Outcome::Same => report.same += 1,
            Outcome::Superseded => report.superseded += 1,
            Outcome::Conflict => report.conflicts += 1,
            Outcome::Refused(reason) => report.refuse(*line, reason),
        }
    }
    Ok(())
}
