//! The shape of the workspace, and that `docs/architecture.md` tells it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod architecture;
mod circles;
mod sources;
