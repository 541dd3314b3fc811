//! The shape of the workspace, and that the pages which describe it are right.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod architecture;
mod circles;
mod links;
mod sources;
