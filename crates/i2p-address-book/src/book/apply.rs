//! What a line of a feed may do to the book: first come, first served, and only holders of keys change anything.

use i2p_name::{Destination, HostName};

use super::{
    ledger::{Ledger, NoRoom},
    record::Record,
};
use crate::{
    BookError, Source,
    feed::{Action, Command, Entry, VerifiedCommand},
    import::Refusal,
};

/// How far the date of a command may be ahead of our clock, in seconds.
const CLOCK_SKEW: u64 = 24 * 60 * 60;
/// Names that are looked up at a time when all of a destination go.
const PAGE: usize = 500;

/// What came of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Added,
    Changed,
    Removed(u64),
    /// The book says so already.
    Same,
    /// True once: its holder has changed or removed it since.
    Superseded,
    /// Another destination has the name. Recorded.
    Conflict,
    Refused(Refusal),
}

impl From<NoRoom> for Outcome {
    fn from(no_room: NoRoom) -> Self {
        Self::Refused(match no_room {
            NoRoom::Book => Refusal::BookFull,
            NoRoom::Source => Refusal::SourceFull,
        })
    }
}

/// The book and the feed that a line is from.
pub(super) struct Feed<'l, 't> {
    pub(super) ledger: &'l mut Ledger<'t>,
    pub(super) source: &'l Source,
}

impl Feed<'_, '_> {
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<Outcome, BookError> {
        self.claim(&entry.host, &entry.destination, None)
    }

    pub(super) fn command(&mut self, command: &VerifiedCommand) -> Result<Outcome, BookError> {
        let command = command.command();
        if command.expires().is_some_and(|expires| expires < self.ledger.now) {
            return Ok(Outcome::Refused(Refusal::Expired));
        }
        if command.date().is_some_and(|date| date > self.ledger.now.saturating_add(CLOCK_SKEW)) {
            return Ok(Outcome::Refused(Refusal::FromTheFuture));
        }
        match command.action() {
            // Further properties are not kept, so an update is an addition.
            Action::Add { host } | Action::Update { host } => {
                self.claim(host, command.destination(), command.date())
            }
            Action::AddName { host, old_host } => {
                self.add_below(host, old_host, command.destination(), command)
            }
            Action::AddSubdomain { host, old_host, old_destination } => {
                self.add_below(host, old_host, old_destination, command)
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

    /// A name for whoever comes first.
    fn claim(
        &mut self,
        host: &HostName,
        destination: &Destination,
        date: Option<u64>,
    ) -> Result<Outcome, BookError> {
        if let Some(record) = self.ledger.get(host)? {
            if record.has(destination) {
                return Ok(Outcome::Same);
            }
            return self.other_destination(host, &record, destination);
        }
        if self.ledger.is_barred(host, destination, date)? {
            return Ok(Outcome::Superseded);
        }
        let record =
            Record::new(destination.clone(), self.source.clone(), self.ledger.now, date.unwrap_or_default());
        Ok(match self.ledger.add(host, &record)? {
            Ok(()) => Outcome::Added,
            Err(no_room) => no_room.into(),
        })
    }

    /// The name has other destinations: it changed since, or somebody else wants it.
    fn other_destination(
        &mut self,
        host: &HostName,
        record: &Record,
        offered: &Destination,
    ) -> Result<Outcome, BookError> {
        if record.previous().contains(&offered.b32()) {
            return Ok(Outcome::Superseded);
        }
        if let Some(kept) = record.destinations().first() {
            self.ledger.conflict(host, kept, offered, self.source)?;
        }
        Ok(Outcome::Conflict)
    }

    /// A name whose right comes from another one: a further name, or a subdomain. That other name, if it is known,
    /// must be `owner`'s.
    fn add_below(
        &mut self,
        host: &HostName,
        old_host: &HostName,
        owner: &Destination,
        command: &Command,
    ) -> Result<Outcome, BookError> {
        match self.ledger.get(old_host)? {
            Some(record) if !record.has(owner) => Ok(not_theirs(&record, owner)),
            _ => self.claim(host, command.destination(), command.date()),
        }
    }

    fn change_name(
        &mut self,
        host: &HostName,
        old_host: &HostName,
        command: &Command,
    ) -> Result<Outcome, BookError> {
        let destination = command.destination();
        if host == old_host {
            return Ok(Outcome::Same);
        }
        let old = self.ledger.get(old_host)?;
        if let Some(outcome) = old.as_ref().and_then(|old| forbidden(old, destination, command.date())) {
            return Ok(outcome);
        }
        let outcome = self.claim(host, destination, command.date())?;
        if !matches!(outcome, Outcome::Added | Outcome::Same) {
            return Ok(outcome);
        }
        match old {
            Some(old) => {
                self.retire(old_host, &old, command)?;
                Ok(Outcome::Changed)
            }
            // Feeds have no order: the line with the old name may come later.
            None => {
                self.ledger.bar(old_host, &destination.b32(), Some(command.date().unwrap_or_default()))?;
                Ok(outcome)
            }
        }
    }

    fn change_destination(
        &mut self,
        host: &HostName,
        old_destination: &Destination,
        command: &Command,
    ) -> Result<Outcome, BookError> {
        let destination = command.destination();
        let Some(record) = self.ledger.get(host)? else {
            return self.claim_from(host, old_destination, command);
        };
        if destination == old_destination || (record.has(destination) && !record.has(old_destination)) {
            return Ok(Outcome::Same);
        }
        if !record.has(old_destination) {
            return self.other_destination(host, &record, destination);
        }
        if let Some(outcome) = forbidden(&record, old_destination, command.date()) {
            return Ok(outcome);
        }
        let mut changed = record.clone();
        changed.retire(old_destination);
        changed.insert(destination.clone());
        changed.commanded = command.date().unwrap_or(changed.commanded);
        self.ledger.change(host, &record, &changed)?;
        Ok(Outcome::Changed)
    }

    /// A name that is not there, for a destination that comes after another one. Feeds have no order: the line with
    /// the old one may come later, and is no conflict then.
    fn claim_from(
        &mut self,
        host: &HostName,
        old_destination: &Destination,
        command: &Command,
    ) -> Result<Outcome, BookError> {
        let outcome = self.claim(host, command.destination(), command.date())?;
        if let (Outcome::Added, Some(record)) = (outcome, self.ledger.get(host)?)
            && !record.has(old_destination)
        {
            let mut changed = record.clone();
            changed.remember(old_destination.b32());
            self.ledger.change(host, &record, &changed)?;
        }
        Ok(outcome)
    }

    fn add_destination(
        &mut self,
        host: &HostName,
        old_destination: &Destination,
        command: &Command,
    ) -> Result<Outcome, BookError> {
        let destination = command.destination();
        let Some(record) = self.ledger.get(host)? else {
            return self.claim_from(host, old_destination, command);
        };
        if record.has(destination) {
            return Ok(Outcome::Same);
        }
        if !record.has(old_destination) {
            return self.other_destination(host, &record, destination);
        }
        if let Some(outcome) = forbidden(&record, old_destination, command.date()) {
            return Ok(outcome);
        }
        let mut changed = record.clone();
        if !changed.insert(destination.clone()) {
            return Ok(Outcome::Refused(Refusal::TooManyDestinations));
        }
        changed.commanded = command.date().unwrap_or(changed.commanded);
        self.ledger.change(host, &record, &changed)?;
        Ok(Outcome::Changed)
    }

    fn remove(&mut self, host: &HostName, command: &Command) -> Result<Outcome, BookError> {
        let destination = command.destination();
        let Some(record) = self.ledger.get(host)? else {
            self.ledger.bar(host, &destination.b32(), Some(command.date().unwrap_or_default()))?;
            return Ok(Outcome::Same);
        };
        if let Some(outcome) = forbidden(&record, destination, command.date()) {
            return Ok(outcome);
        }
        self.retire(host, &record, command)?;
        Ok(Outcome::Removed(1))
    }

    fn remove_all(&mut self, command: &Command) -> Result<Outcome, BookError> {
        let b32 = command.destination().b32();
        let (mut removed, mut after) = (0, None);
        loop {
            let names = self.ledger.names_of(&b32, after.as_ref(), PAGE)?;
            for host in &names {
                let Some(record) = self.ledger.get(host)? else { continue };
                if forbidden(&record, command.destination(), command.date()).is_none() {
                    self.retire(host, &record, command)?;
                    removed += 1;
                }
            }
            match names.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        Ok(if removed == 0 { Outcome::Same } else { Outcome::Removed(removed) })
    }

    /// Takes the command's destination off a name, and the name off the book when it was the last.
    fn retire(&mut self, host: &HostName, record: &Record, command: &Command) -> Result<(), BookError> {
        let mut rest = record.clone();
        if rest.retire(command.destination()) {
            rest.commanded = command.date().unwrap_or(rest.commanded);
            return self.ledger.change(host, record, &rest);
        }
        self.ledger.remove(host, record)?;
        for previous in rest.previous() {
            self.ledger.bar(host, previous, Some(command.date().unwrap_or_default()))?;
        }
        Ok(())
    }
}

/// Why a command that changes this entry in the name of `owner` does not, if so.
fn forbidden(record: &Record, owner: &Destination, date: Option<u64>) -> Option<Outcome> {
    if !record.has(owner) {
        return Some(not_theirs(record, owner));
    }
    if record.source == Source::Hand {
        return Some(Outcome::Refused(Refusal::KeptByHand));
    }
    // Played again, or overtaken.
    record.outdates(date).then_some(Outcome::Superseded)
}

/// The name is not, or no longer, of the destination that signed.
fn not_theirs(record: &Record, owner: &Destination) -> Outcome {
    if record.previous().contains(&owner.b32()) {
        Outcome::Superseded
    } else {
        Outcome::Refused(Refusal::NotTheirName)
    }
}
