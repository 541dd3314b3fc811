//! Outproxies, the ways out of I2P: which of them a request goes to ([`Routing`]), what the configuration says of each, how each
//! does, and what it is asked in its protocol.
//!
//! Imports client, dial, failure, route and stream. Nothing here knows which protocol a client speaks, or how I2P is reached.

mod connect;
mod definition;
mod fault;
mod health;
mod http_connect;
mod line;
mod protocol;
mod relay;
mod routing;
mod set;
mod socks5;
mod tokens;

pub(crate) use self::{
    connect::Outproxy,
    relay::{OutproxyRelay, datagram, sender},
};
pub use self::{
    definition::{OutproxyAt, OutproxyCredentials, OutproxyDefinition},
    fault::OutproxyTrouble,
    health::OutproxyStatus,
    protocol::{OutproxyProtocol, UnknownOutproxyProtocol},
    routing::{Routing, UnknownOutproxy},
    set::{Outproxies, TwoOutproxies},
};
