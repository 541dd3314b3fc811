//! Embedded routers and private networks, seen from the program that starts them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod embedded_router;
mod example;
mod private_network;
mod reseed;
mod sam_conformance;
mod warming;
