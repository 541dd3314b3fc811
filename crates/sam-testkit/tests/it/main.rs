//! The test kit as the clients of its bridge see it: one program, since each one has to be linked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod client;
mod datagrams;
mod emissary_lines;
mod endpoints;
mod faults;
mod i2pd_lines;
mod idle;
mod java_lines;
mod recorded;
mod segments;
mod sessions;
mod streams;
