//! The integration tests of i2p-sam: one program, since each one has to be linked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod changing;
mod chunking;
mod client;
mod commands;
mod conformance;
mod connector;
mod early_data;
mod examples;
mod forged_datagrams;
mod lending;
mod routers;
mod spares;
mod subsessions;
mod unix_sockets;
mod wrong_answers;
