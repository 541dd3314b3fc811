//! One connection of a client: accept, handshake, request, reply, relay, end.
//!
//! The top of this crate: no other room imports it. It imports all rooms except `route`, `sessions` and `metrics`.

mod accepting;
mod bind;
mod chosen_names;
mod dns;
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

pub use self::{
    accepting::serve,
    chosen_names::ChosenNames,
    service::{JumpService, Service},
    site::SiteStreams,
    udp::datagram_descriptors,
};
#[cfg(feature = "fuzzing")]
pub use self::{forward::check_address_helper, http::check_http_head};
