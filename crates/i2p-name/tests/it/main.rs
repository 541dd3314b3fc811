//! The integration tests of `i2p-name`, one module for each topic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod blinded;
mod canonical;
mod classification;
#[cfg(feature = "idna")]
mod disguises;
#[cfg(feature = "idna")]
mod international;
mod routers;
mod virtual_addresses;
