#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acceptors;
mod bridge;
mod command;
mod commands;
mod connection;
mod destination;
mod dialect;
mod endpoint;
mod recorder;
mod registry;
mod relay;
mod script;
mod serving;
mod socket;
#[cfg(feature = "tls")]
mod tls;

pub use bridge::{SessionRecord, TestBridge};
pub use destination::{destination, private_key};
pub use dialect::Dialect;
pub use endpoint::Endpoint;
pub use recorder::{LineRecord, StreamRecord};
pub use script::Act;
#[cfg(feature = "tls")]
pub use tls::TlsFront;
