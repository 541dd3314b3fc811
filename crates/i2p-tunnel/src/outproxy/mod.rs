//! Outproxies, the ways out of I2P: what the configuration says of each, how each does, and what it is asked in its protocol.
//!
//! Imports client, failure, route, sessions and stream. Nothing here knows which protocol a client speaks.

mod connect;
mod definition;
mod fault;
mod health;
mod http_connect;
mod line;
mod relay;
mod set;
mod socks5;
mod tokens;
mod ways_out;

pub(crate) use self::{
    connect::{Outproxy, Request},
    fault::Fault,
    relay::{OutproxyRelay, datagram, sender},
    set::Asking,
};
pub use self::{
    definition::{OutproxyAt, OutproxyCredentials, OutproxyDefinition, OutproxyProtocol},
    fault::OutproxyTrouble,
    health::OutproxyStatus,
    set::{Outproxies, TwoOutproxies},
    ways_out::WaysOut,
};
