#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bridge;
mod command;
mod connection;
mod datagram;
mod destination;
mod dial;
mod dialect;
mod endpoint;
mod naming;
mod recorder;
mod registry;
mod relay;
mod script;
mod session;
mod stream;
mod talk;

pub use bridge::{SessionRecord, TestBridge};
pub use destination::{destination, private_key};
pub use dialect::Dialect;
pub use endpoint::Endpoint;
pub use recorder::{Heard, StreamRecord};
pub use script::Act;
