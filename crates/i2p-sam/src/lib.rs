#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address;
mod bridge;
mod changing;
#[cfg(unix)]
mod connector;
mod error;
mod key_file;
mod session;
#[cfg(feature = "tls")]
mod tls;
pub mod wire;

pub use address::BridgeAddress;
pub use bridge::{
    Bridge, Timeouts,
    capabilities::{Capabilities, DatagramSupport},
    router::Router,
    stream::SamStream,
};
pub use changing::ChangingAddress;
#[cfg(unix)]
pub use connector::Connector;
pub use error::{Error, Phase};
pub use key_file::{KeyFile, KeyFileError};
pub use session::{
    Accepted, Forwarding, Listening, PeerLine, Session,
    datagram::{DatagramPeer, DatagramSession, MAX_PACKET_BYTES},
    primary::PrimarySession,
    supervised::{BackOff, EarlyLosses, Identity, SessionState, Supervised},
};
#[cfg(feature = "tls")]
pub use tls::{CertificateFileError, Fingerprint, TlsAddress, TlsStream, Trust};
pub use wire::{
    DatagramStyle, Dialect, Login, Ports, PrivateKey, Received, ResultWord, Sender, SessionId,
    SessionOptions, Version,
};
