//! The integration tests of `i2p-address-book`, one module for each topic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod commands;
mod first_come;
mod holder;
mod hostile_feeds;
mod lines;
mod signatures;
mod store;
mod subscriptions;
