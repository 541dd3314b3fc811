#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bridge;
mod connection;
mod error;
mod session;
pub mod wire;

pub use bridge::{Bridge, Timeouts};
pub use error::{Error, Phase};
pub use session::Session;
pub use wire::{ResultWord, SessionId, SessionOptions, Version};
