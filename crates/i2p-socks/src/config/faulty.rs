//! What a configuration lacks because of mistakes. What the rest says may then differ from what the user means.

use toml::{Table, Value};

use super::problem::{Place, Problem};

/// An entry that was set aside because of a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Faulty {
    /// The table with the mistake.
    pub(super) table: String,
    /// Its number, counted from 0, if there is a list of such tables.
    pub(super) index: Option<usize>,
    pub(super) part: FaultyPart,
}

/// What is wrong with the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultyPart {
    /// The value of this key.
    Value(String),
    /// An entry of the list that this key has. The others are there.
    Entry(String),
    /// A key that does not exist. It may be one of the others, mistyped.
    UnknownKey,
    /// All of it.
    Table,
    /// Its name. It may be that of another table, mistyped.
    UnknownTable,
}

impl Faulty {
    /// Whether a problem may be gone once the mistake is mended. `written`: what is set without mistakes.
    pub(super) fn may_mend(&self, problem: &Problem, written: &Table) -> bool {
        let is_of_another_entry = problem.is_of_entries && matches!(self.part, FaultyPart::Entry(_));
        !is_of_another_entry && problem.places.iter().any(|place| self.may_change(*place, written))
    }

    /// Whether this key may have another value once the mistake is mended.
    fn may_change(&self, place: Place, written: &Table) -> bool {
        if self.part == FaultyPart::UnknownTable {
            return !written.contains_key(place.table);
        }
        let is_same_table = self.table == place.table
            && (self.index.is_none() || place.index.is_none() || self.index == place.index);
        is_same_table
            && match &self.part {
                FaultyPart::Value(key) | FaultyPart::Entry(key) => key == place.key,
                FaultyPart::UnknownKey => !is_written(place, written),
                FaultyPart::Table | FaultyPart::UnknownTable => true,
            }
    }

    /// Whether tables of this kind may have other names, or be others, once the mistake is mended.
    pub(super) fn may_rename(&self, list: &str) -> bool {
        match &self.part {
            FaultyPart::UnknownTable => true,
            FaultyPart::Value(key) => self.table == list && key == "name",
            FaultyPart::Entry(_) => false,
            FaultyPart::UnknownKey | FaultyPart::Table => self.table == list,
        }
    }
}

/// Whether this key is set; one of a list of tables without a number: in all of them.
pub(super) fn is_written(place: Place, written: &Table) -> bool {
    let has_key = |table: &Value| table.get(place.key).is_some();
    match (written.get(place.table), place.index) {
        (Some(Value::Array(tables)), Some(index)) => tables.get(index).is_some_and(has_key),
        (Some(Value::Array(tables)), None) => tables.iter().all(has_key),
        (Some(table), _) => has_key(table),
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_hides_what_it_may_change_and_nothing_else() {
        let written = toml::from_str("[session]\nlength = 1\n[[tunnel]]\nudp = 'raw'\n[[tunnel]]\n").unwrap();
        let faulty = |table: &str, index, part| Faulty { table: table.to_owned(), index, part };
        let value = |key: &str| FaultyPart::Value(key.to_owned());
        for (mistake, place, expected) in [
            (faulty("session", None, value("length")), Place::of("session", "length"), true),
            (faulty("session", None, value("length")), Place::of("session", "quantity"), false),
            (faulty("session", None, FaultyPart::UnknownKey), Place::of("session", "length"), false),
            (faulty("session", None, FaultyPart::UnknownKey), Place::of("session", "quantity"), true),
            (faulty("session", None, FaultyPart::Table), Place::of("session", "length"), true),
            (faulty("session", None, FaultyPart::Table), Place::of("router", "sam"), false),
            (faulty("tunnel", Some(0), FaultyPart::UnknownKey), Place::nth("tunnel", 0, "udp"), false),
            (faulty("tunnel", Some(1), FaultyPart::UnknownKey), Place::nth("tunnel", 1, "udp"), true),
            (faulty("tunnel", Some(0), FaultyPart::UnknownKey), Place::nth("tunnel", 1, "udp"), false),
            (faulty("tunnel", Some(1), FaultyPart::UnknownKey), Place::of("tunnel", "udp"), true),
            (faulty("tunel", None, FaultyPart::UnknownTable), Place::nth("tunnel", 0, "udp"), false),
            (faulty("outproxi", None, FaultyPart::UnknownTable), Place::of("outproxy", "name"), true),
        ] {
            assert_eq!(mistake.may_change(place, &written), expected, "{mistake:?} {place:?}");
        }
    }
}
