//! One connection of a client: accept, handshake, request, reply, relay, end.
//!
//! The top of this crate: no other room imports it. It imports all rooms except `route`, `sessions` and `metrics`.

mod accepting;
mod bind;
mod forward;
mod handshake;
mod http;
mod life;
mod outcome;
mod resolve;
mod service;
mod site;
mod tls;
mod udp;

#[cfg(feature = "fuzzing")]
pub use self::http::check_http_head;
pub use self::{
    accepting::serve,
    service::{JumpService, Service},
    site::SiteStreams,
    udp::datagram_descriptors,
};
