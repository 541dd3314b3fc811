//! What the network of a namespace promises, in a network namespace of its own: see `namespace.rs`.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod connect_errors;
mod costs;
mod datagrams;
mod dials;
mod making;
mod namespace;
mod outside;
mod port_reuse;
mod streams;
mod world;
