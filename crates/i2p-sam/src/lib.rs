#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bridge;
mod capabilities;
mod connection;
mod control;
mod datagram;
mod error;
mod key_file;
mod lookup;
mod open;
mod primary;
mod session;
mod spares;
mod supervised;
mod udp_socket;
pub mod wire;

pub use bridge::{Bridge, Timeouts};
pub use capabilities::Capabilities;
pub use datagram::{DatagramPeer, DatagramSession, MAX_PACKET};
pub use error::{Error, Phase};
pub use key_file::{KeyFile, KeyFileError};
pub use primary::Primary;
pub use session::{Accepted, Forwarding, Listening, Session};
pub use supervised::{BackOff, Identity, SessionState, Supervised};
pub use wire::{
    DatagramStyle, Dialect, Login, Ports, PrivateKey, Received, ResultWord, Sender, SessionId,
    SessionOptions, Version,
};
