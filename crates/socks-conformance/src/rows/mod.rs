//! The rows of the table. Each row is a function.
//!
//! A function talks to a server in bytes. It fails with the first thing that is wrong, in words that fit into the notes of the
//! table and are the same in every run.

mod i2p;
mod negotiation;
mod not_socks;
mod operation;
pub(crate) mod relaying;
mod requests;
mod socks4;

use anyhow::Result;
use conformance_table::page::RowName;

use crate::server::Server;

/// A row of the table.
pub(crate) struct Row {
    /// The behaviour, and the rule that demands it or why it matters.
    pub(crate) name: RowName,
    /// Fails with what happened instead, or with [`NotApplicable`](conformance_table::mark::NotApplicable).
    pub(crate) run: fn(&Server) -> Result<()>,
    /// Whether it disturbs other rows, so that it runs after them.
    pub(crate) is_alone: bool,
}

impl Row {
    const fn new(name: &'static str, rule: &'static str, run: fn(&Server) -> Result<()>) -> Self {
        Self { name: RowName { name, rule }, run, is_alone: false }
    }

    const fn alone(name: &'static str, rule: &'static str, run: fn(&Server) -> Result<()>) -> Self {
        Self { name: RowName { name, rule }, run, is_alone: true }
    }
}

/// All rows, in the order of a connection's life. Those that are not alone may run at the same time, and the others after them, in
/// this order.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [
        negotiation::ROWS,
        requests::ROWS,
        requests::ADDRESSES,
        socks4::ROWS,
        not_socks::ROWS,
        relaying::ROWS,
        i2p::ROWS,
        operation::ROWS,
        LAST,
    ]
    .into_iter()
    .flatten()
}

/// The rows that run after all others.
const LAST: &[Row] = &[
    Row::alone("still serves clients after all of this", "its other clients", still_serves),
    Row::alone(
        "a request that arrives while its router restarts is served",
        "routers are restarted, and crash",
        i2p::waits_for_router,
    ),
];

fn still_serves(server: &Server) -> Result<()> {
    match &server.target {
        Ok(target) => server.connected(target, target.services.echo)?.expect_echo(),
        Err(_) => server.greeted().map(drop),
    }
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
