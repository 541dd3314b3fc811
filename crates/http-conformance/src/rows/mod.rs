//! The rows of the table. Each row is a function that plays a client of the proxy and the site.
//!
//! It fails with the first thing that is wrong, in words that fit into the notes of the table.

mod answers;
mod bodies;
mod connections;
mod fields;
mod hosts;
mod interim;
mod malformed_answers;
mod syntax;
mod targets;

use anyhow::Result;
use conformance_table::page::RowName;

use crate::conversation::Conversation;

/// A row of the table.
pub(crate) struct Row {
    /// The behaviour, and the rule that demands it or why it matters.
    pub(crate) name: RowName,
    /// Fails with what happened instead, or with [`NotApplicable`](conformance_table::mark::NotApplicable).
    pub(crate) run: fn(&mut Conversation<'_>) -> Result<()>,
}

const fn row(name: &'static str, rule: &'static str, run: fn(&mut Conversation<'_>) -> Result<()>) -> Row {
    Row { name: RowName { name, rule }, run }
}

/// All rows, from the first line of a request to the end of an answer.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [
        targets::ROWS,
        hosts::ROWS,
        fields::ROWS,
        bodies::ROWS,
        syntax::ROWS,
        interim::ROWS,
        answers::ROWS,
        malformed_answers::ROWS,
        connections::ROWS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_that_fits_a_table() {
        let mut names = HashSet::new();
        for RowName { name, rule } in all().map(|row| row.name) {
            assert!(names.insert(name), "twice: {name}");
            assert!(!name.contains('|') && !rule.contains('|'), "{name}");
        }
    }
}
