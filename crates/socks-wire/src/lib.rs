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
mod code;
mod encode;
mod encoded;
mod error;
mod parse;
#[cfg(feature = "alloc")]
mod reassembly;
mod server;
#[cfg(feature = "tokio")]
pub mod stream;
pub mod udp;
pub mod v4;
pub mod v5;

pub use address::Address;
pub use client::{ClientError, ClientHandshake, ClientRequest, ClientStep, ServerReply};
pub use code::Command;
pub use encode::{Encode, EncodeError};
pub use encoded::Encoded;
pub use error::Error;
pub use parse::Parsed;
#[cfg(feature = "alloc")]
pub use reassembly::{Reassembled, Reassembly};
pub use server::{Authentication, NotSocks, Protocol, Request, Responder, ServerHandshake, Step};

/// Room for every message of a SOCKS client with something to spare, but for a SOCKS4a request whose host is longer than 255
/// bytes: there is no such host name, and I2P destinations in base64 are such hosts. Those need [`LONG_BUFFER`].
pub const BUFFER: usize = 640;

/// Room for every message of a SOCKS client: the longest is a SOCKS4a request of 4,133 bytes.
pub const LONG_BUFFER: usize = 4_160;
