#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bridge;
mod error;
mod key_file;
mod session;
pub mod wire;

pub use bridge::{Bridge, Timeouts, capabilities::Capabilities};
pub use error::{Error, Phase};
pub use key_file::{KeyFile, KeyFileError};
pub use session::{
    Accepted, Forwarding, Listening, Session,
    datagram::{DatagramPeer, DatagramSession, MAX_PACKET},
    primary::Primary,
    supervised::{BackOff, Identity, SessionState, Supervised},
};
pub use wire::{
    DatagramStyle, Dialect, Login, Ports, PrivateKey, Received, ResultWord, Sender, SessionId,
    SessionOptions, Version,
};
