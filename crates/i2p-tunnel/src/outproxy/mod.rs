//! Outproxies, the ways out of I2P: routing to them ([`Routing`]), their definitions, their health, and their protocols.
//!
//! Imports `account`, `client`, `dial`, `failure`, `log_throttle`, `route` and `stream`. Nothing here knows which protocol a client speaks or how
//! I2P is reached.

mod connect;
mod datagrams;
mod definition;
mod exits;
mod fault;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod health;
mod http_connect;
mod protocol;
mod relay;
mod routing;
mod set;
mod socks5;
mod tokens;
mod tracked_socket;

pub use self::{
    datagrams::OutproxyDatagrams,
    definition::{OutproxyAt, OutproxyCredentials, OutproxyDefinition},
    fault::OutproxyFault,
    health::OutproxyStatus,
    protocol::{OutproxyProtocol, UnknownOutproxyProtocol},
    routing::{Routing, UnknownOutproxy},
    set::{DuplicateOutproxy, Outproxies},
};
pub(crate) use self::{
    exits::{ExitUser, Exits, MAX_EXITS},
    relay::decode_datagram,
};
