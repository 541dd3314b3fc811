//! What a SOCKS server is asked to do: one row, one function.
//!
//! A function speaks to the subject in bytes and comes back with the first thing that is not as it should be, in words
//! that fit into the table's notes and are the same in every run.

mod negotiation;
mod not_socks;
pub(crate) mod relaying;
mod requests;
mod socks4;

use anyhow::Result;

use super::subject::Subject;

/// A row of the table.
pub(crate) struct Row {
    /// The behaviour.
    pub(crate) name: &'static str,
    /// Who says so, or why it matters.
    pub(crate) rule: &'static str,
    /// Fails with what came instead, or with [`NotApplicable`](super::subject::NotApplicable).
    pub(crate) run: fn(&Subject) -> Result<()>,
}

impl Row {
    const fn new(name: &'static str, rule: &'static str, run: fn(&Subject) -> Result<()>) -> Self {
        Self { name, rule, run }
    }
}

/// All rows, in the order of a connection's life. They may run at the same time, but for the [`LAST`].
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [negotiation::ROWS, requests::ROWS, requests::ADDRESSES, socks4::ROWS, not_socks::ROWS, relaying::ROWS]
        .into_iter()
        .flatten()
        .chain([&LAST])
}

/// The row that comes when all others have been there.
pub(crate) static LAST: Row = Row::new("serves on after all of this", "its other clients", serves_on);

fn serves_on(subject: &Subject) -> Result<()> {
    match &subject.far {
        Ok(far) => subject.connected(far, far.services.echo)?.is_echoed(),
        Err(_) => subject.greeted().map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_that_fits_a_table() {
        let mut names = HashSet::new();
        for row in all() {
            assert!(names.insert(row.name), "twice: {}", row.name);
            assert!(!row.name.contains('|') && !row.rule.contains('|'), "{}", row.name);
        }
    }
}
