//! The integration tests of i2p-sam: one program, since each one has to be linked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod accepts;
mod changing;
mod chunking;
mod client;
mod commands;
mod conformance;
mod connector;
mod datagram_trials;
mod early_data;
mod examples;
mod forged_datagrams;
mod lending;
mod panics;
mod request_rate;
mod routers;
mod spares;
mod subsessions;
mod tls;
mod undecided;
mod unix_sockets;
mod wrong_answers;
