//! One connection of a client, from accepting it to its end: its handshake, its request, the answer, and the relaying.
//!
//! The top of this crate: imports all other rooms but metrics, and none of them imports it.

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
