#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

pub mod auth;
mod code;
mod encoded;
mod error;
mod parse;
mod server;
pub mod v4;
pub mod v5;

pub use code::Command;
pub use encoded::Encoded;
pub use error::Error;
pub use parse::Parsed;
pub use server::{Host, NotSocks, Protocol, Request, Responder, ServerHandshake, Step};

/// Room for every message of a SOCKS client with something to spare: the longest is a SOCKS4a request of 520 bytes.
pub const BUFFER: usize = 640;
