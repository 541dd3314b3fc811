//! What the filters promise.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod http;
mod irc;
mod rules;
mod session;
mod smtp;
