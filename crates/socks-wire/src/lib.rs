#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "tokio")]
extern crate std;

mod address;
pub mod auth;
mod client;
mod command;
mod encode;
mod encoded;
mod error;
mod not_socks;
mod parse;
mod protocol;
#[cfg(feature = "alloc")]
mod reassembly;
mod responder;
mod server;
#[cfg(feature = "tokio")]
pub mod stream;
pub mod udp;
pub mod v4;
pub mod v5;

pub use address::Address;
pub use client::{ClientError, ClientHandshake, ClientRequest, ClientStep, ServerReply};
pub use command::Command;
pub use encode::{Encode, EncodeError};
pub use encoded::Encoded;
pub use error::Error;
pub use not_socks::NotSocks;
pub use parse::Parsed;
pub use protocol::Protocol;
#[cfg(feature = "alloc")]
pub use reassembly::{Reassembled, Reassembly};
pub use responder::Responder;
pub use server::{Authentication, ServerHandshake, SocksRequest, Step};

/// The size of an input buffer that every message of a SOCKS client fits into, except a SOCKS4a request whose host is longer
/// than 255 bytes. Host names are never that long, but I2P destinations in base64 are; they need [`LONG_BUFFER_BYTES`].
pub const BUFFER_BYTES: usize = 640;

/// The size of a buffer that every message of a SOCKS client fits into. The longest is a SOCKS4a request of 4,133 bytes.
pub const LONG_BUFFER_BYTES: usize = 4_160;
