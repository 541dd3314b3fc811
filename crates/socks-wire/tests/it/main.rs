//! The integration tests of `socks-wire`, one module for each topic. `tests/allocations.rs` is a program of its own, because
//! it replaces the global allocator.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod client;
#[cfg(feature = "tokio")]
mod example;
mod handshake;
mod hex;
mod messages;
mod real_clients;
#[cfg(feature = "alloc")]
mod reassembly;
mod rfc_vectors;
#[cfg(feature = "tokio")]
mod stream;
