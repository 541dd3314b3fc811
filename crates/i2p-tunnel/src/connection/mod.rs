//! One connection of a client, from accepting it to its end: its handshake, its request, the answer, and the relaying.
//!
//! The top of this crate: no other room imports it. It imports all of them except route, sessions and metrics.

mod accepting;
mod bind;
mod handshake;
mod http;
mod life;
mod outcome;
mod resolve;
mod service;
mod udp;

pub use self::{accepting::serve, service::Service, udp::datagram_descriptors};
