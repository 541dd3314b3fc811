//! Applies the lines of a feed to the book. A name belongs to the first destination that gets it, and only the holder of that
//! destination's key can change it.

use i2p_name::{Destination, HostName};

use super::{
    ledger::{Ledger, NoRoom, Removal},
    record::Record,
};
use crate::{
    error::BookError,
    feed::{Action, Command, Entry, VerifiedCommand},
    report::LineRefusal,
    source::Source,
};

/// The number of seconds that the date of a command may be ahead of our clock.
const MAX_CLOCK_SKEW_SECONDS: u64 = 24 * 60 * 60;
/// The number of names looked up at a time when all names of a destination are removed.
const NAMES_PER_PAGE: usize = 500;

/// The outcome of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineOutcome {
    Added,
    Changed,
    /// The number of names removed.
    Removed(u64),
    /// The book has this content already.
    Same,
    /// The line is outdated: the holder of the name has changed or removed it since.
    Superseded,
    /// Another destination has the name. The conflict is recorded.
    Conflict,
    Refused(LineRefusal),
}

impl From<NoRoom> for LineOutcome {
    fn from(no_room: NoRoom) -> Self {
        Self::Refused(match no_room {
            NoRoom::Book => LineRefusal::BookFull,
            NoRoom::Source => LineRefusal::SourceFull,
        })
    }
}

/// Applies the lines of one source to the book.
pub(super) struct FeedApplier<'l, 't> {
    pub(super) ledger: &'l mut Ledger<'t>,
    pub(super) source: &'l Source,
    /// Whether names that the user removed come back.
    pub(super) restores: bool,
}

impl FeedApplier<'_, '_> {
    pub(super) fn apply_entry(&mut self, entry: &Entry) -> Result<LineOutcome, BookError> {
        self.claim(&entry.host, &entry.destination, None)
    }

    pub(super) fn apply_command(&mut self, command: &VerifiedCommand) -> Result<LineOutcome, BookError> {
        let command = command.command();
        if command.expires().is_some_and(|expires| expires < self.ledger.now) {
            return Ok(LineOutcome::Refused(LineRefusal::Expired));
        }
        if command.date().is_some_and(|date| date > self.ledger.now.saturating_add(MAX_CLOCK_SKEW_SECONDS)) {
            return Ok(LineOutcome::Refused(LineRefusal::FromTheFuture));
        }
        match command.action() {
            // The book keeps no further properties, so an update is an addition.
            Action::Add { host } | Action::Update { host } => {
                self.claim(host, command.destination(), command.date())
            }
            Action::AddName { host, old_host } => {
                self.add_derived(host, old_host, command.destination(), command)
            }
            Action::AddSubdomain { host, old_host, old_destination } => {
                self.add_derived(host, old_host, old_destination, command)
            }
            Action::ChangeName { host, old_host } => self.change_name(host, old_host, command),
            Action::ChangeDestination { host, old_destination } => {
                self.change_destination(host, old_destination, command)
            }
            Action::AddDestination { host, old_destination } => {
                self.add_destination(host, old_destination, command)
            }
            Action::Remove { host } => self.remove(host, command),
            Action::RemoveAll => self.remove_all(command),
        }
    }

    /// Adds a name that is not in the book.
    fn claim(
        &mut self,
        host: &HostName,
        destination: &Destination,
        date: Option<u64>,
    ) -> Result<LineOutcome, BookError> {
        if let Some(record) = self.ledger.get(host)? {
            if record.has(destination) {
                return Ok(LineOutcome::Same);
            }
            return self.refuse_destination(host, &record, destination);
        }
        let is_restored = self.restores && self.ledger.is_removed_by_hand(host, destination)?;
        if !is_restored && self.ledger.is_removed(host, destination, date)? {
            return Ok(LineOutcome::Superseded);
        }
        let record =
            Record::new(destination.clone(), self.source.clone(), self.ledger.now, date.unwrap_or_default());
        Ok(match self.ledger.add(host, &record)? {
            Ok(()) => LineOutcome::Added,
            Err(no_room) => no_room.into(),
        })
    }

    /// Keeps a name as it is, although a line has another destination for it: the line is outdated or a conflict.
    fn refuse_destination(
        &mut self,
        host: &HostName,
        record: &Record,
        offered: &Destination,
    ) -> Result<LineOutcome, BookError> {
        if record.previous().contains(&offered.b32()) {
            return Ok(LineOutcome::Superseded);
        }
        if let Some(kept) = record.destinations().first() {
            self.ledger.record_conflict(host, kept, offered, self.source)?;
        }
        Ok(LineOutcome::Conflict)
    }

    /// Adds a name that is derived from another one: a further name or a subdomain. The other name must belong to `holder`, or be
    /// unknown.
    fn add_derived(
        &mut self,
        host: &HostName,
        old_host: &HostName,
        holder: &Destination,
        command: &Command,
    ) -> Result<LineOutcome, BookError> {
        match self.ledger.get(old_host)? {
            Some(record) if !record.has(holder) => Ok(not_holder(&record, holder)),
            _ => self.claim(host, command.destination(), command.date()),
        }
    }

    fn change_name(
        &mut self,
        host: &HostName,
        old_host: &HostName,
        command: &Command,
    ) -> Result<LineOutcome, BookError> {
        let destination = command.destination();
        if host == old_host {
            return Ok(LineOutcome::Same);
        }
        let old = self.ledger.get(old_host)?;
        if let Some(outcome) =
            old.as_ref().and_then(|old| check_holder(old, destination, command.date()).err())
        {
            return Ok(outcome);
        }
        let outcome = self.claim(host, destination, command.date())?;
        if !matches!(outcome, LineOutcome::Added | LineOutcome::Same) {
            return Ok(outcome);
        }
        match old {
            Some(old) => {
                self.remove_destination(old_host, &old, command)?;
                Ok(LineOutcome::Changed)
            }
            // The lines of feeds have no order: the one with the old name may come later.
            None => {
                self.ledger.record_removal(old_host, &destination.b32(), removal_by(command))?;
                Ok(outcome)
            }
        }
    }

    fn change_destination(
        &mut self,
        host: &HostName,
        old: &Destination,
        command: &Command,
    ) -> Result<LineOutcome, BookError> {
        let new = command.destination();
        let is_done = |record: &Record| new == old || (record.has(new) && !record.has(old));
        self.edit(host, old, command, is_done, |record| {
            record.retire(old);
            record.insert(new.clone())
        })
    }

    fn add_destination(
        &mut self,
        host: &HostName,
        old: &Destination,
        command: &Command,
    ) -> Result<LineOutcome, BookError> {
        let new = command.destination();
        self.edit(host, old, command, |record| record.has(new), |record| record.insert(new.clone()))
    }

    /// Edits the destinations of a name that has the destination `old`. `edit` returns `false` if the name has too many. A name
    /// that is not in the book is added.
    fn edit(
        &mut self,
        host: &HostName,
        old: &Destination,
        command: &Command,
        is_done: impl FnOnce(&Record) -> bool,
        edit: impl FnOnce(&mut Record) -> bool,
    ) -> Result<LineOutcome, BookError> {
        let Some(record) = self.ledger.get(host)? else { return self.claim_after(host, old, command) };
        if is_done(&record) {
            return Ok(LineOutcome::Same);
        }
        if !record.has(old) {
            return self.refuse_destination(host, &record, command.destination());
        }
        if let Err(outcome) = check_holder(&record, old, command.date()) {
            return Ok(outcome);
        }
        let mut edited = record.clone();
        if !edit(&mut edited) {
            return Ok(LineOutcome::Refused(LineRefusal::TooManyDestinations));
        }
        edited.last_command = command.date().unwrap_or(edited.last_command);
        self.ledger.change(host, &record, &edited)?;
        Ok(LineOutcome::Changed)
    }

    /// Adds a name that is not in the book for a destination that follows `old`. The lines of feeds have no order: the one with
    /// the old destination may come later, and is no conflict then.
    fn claim_after(
        &mut self,
        host: &HostName,
        old: &Destination,
        command: &Command,
    ) -> Result<LineOutcome, BookError> {
        let outcome = self.claim(host, command.destination(), command.date())?;
        if let (LineOutcome::Added, Some(record)) = (outcome, self.ledger.get(host)?)
            && !record.has(old)
        {
            let mut edited = record.clone();
            edited.add_previous(old.b32());
            self.ledger.change(host, &record, &edited)?;
        }
        Ok(outcome)
    }

    fn remove(&mut self, host: &HostName, command: &Command) -> Result<LineOutcome, BookError> {
        let destination = command.destination();
        let Some(record) = self.ledger.get(host)? else {
            self.ledger.record_removal(host, &destination.b32(), removal_by(command))?;
            return Ok(LineOutcome::Same);
        };
        if let Err(outcome) = check_holder(&record, destination, command.date()) {
            return Ok(outcome);
        }
        self.remove_destination(host, &record, command)?;
        Ok(LineOutcome::Removed(1))
    }

    fn remove_all(&mut self, command: &Command) -> Result<LineOutcome, BookError> {
        let b32 = command.destination().b32();
        let (mut removed, mut after) = (0, None);
        loop {
            let names = self.ledger.names_of(&b32, after.as_ref(), NAMES_PER_PAGE)?;
            for host in &names {
                let Some(record) = self.ledger.get(host)? else { continue };
                if check_holder(&record, command.destination(), command.date()).is_ok() {
                    self.remove_destination(host, &record, command)?;
                    removed += 1;
                }
            }
            match names.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        Ok(if removed == 0 { LineOutcome::Same } else { LineOutcome::Removed(removed) })
    }

    /// Removes the command's destination from a name, and the name from the book if it was the last destination.
    fn remove_destination(
        &mut self,
        host: &HostName,
        record: &Record,
        command: &Command,
    ) -> Result<(), BookError> {
        let mut rest = record.clone();
        rest.retire(command.destination());
        if !rest.destinations().is_empty() {
            rest.last_command = command.date().unwrap_or(rest.last_command);
            return self.ledger.change(host, record, &rest);
        }
        self.ledger.remove(host, record)?;
        for previous in rest.previous() {
            self.ledger.record_removal(host, previous, removal_by(command))?;
        }
        Ok(())
    }
}

/// A removal by this command.
fn removal_by(command: &Command) -> Removal {
    Removal::ByCommand(command.date().unwrap_or_default())
}

/// Checks that a command of this date, signed by `holder`, may change this entry. The error is the outcome of the line.
fn check_holder(record: &Record, holder: &Destination, date: Option<u64>) -> Result<(), LineOutcome> {
    if !record.has(holder) {
        return Err(not_holder(record, holder));
    }
    if record.source == Source::Hand {
        return Err(LineOutcome::Refused(LineRefusal::KeptByHand));
    }
    if record.supersedes(date) {
        return Err(LineOutcome::Superseded);
    }
    Ok(())
}

/// The outcome if the name does not belong to the destination that signed, or not any more.
fn not_holder(record: &Record, signer: &Destination) -> LineOutcome {
    if record.previous().contains(&signer.b32()) {
        LineOutcome::Superseded
    } else {
        LineOutcome::Refused(LineRefusal::NotHolder)
    }
}
