//! A page that says which servers behave as they should: a table with a row for each behaviour and a column for each server.
//!
//! A suite runs the rows on the servers and writes the page, or compares it with what it has measured.
//!
//! | module | what it does |
//! |---|---|
//! | [`mark`] | the outcome of a row on a server |
//! | [`page`] | writes, reads and compares the page |
//! | [`command`] | the command of a suite, and which servers it tests |
//! | [`recorded`] | the results of a server that is not installed where the suites run |
//! | [`judge`] | fails a suite if our server does not pass, or the page is out of date |

#![forbid(unsafe_code)]

pub mod command;
pub mod judge;
pub mod mark;
pub mod page;
pub mod recorded;
