//! What runs: listeners, the router, sessions, the state directory, signals, reloads and the end.
//! May import every room but `commands` and `cli`, which start it.

pub(crate) mod bridge;
mod connections;
pub(crate) mod datagram_support;
pub(crate) mod exec_directory;
mod file_descriptors;
pub(crate) mod home;
pub(crate) mod identities;
mod listen;
mod notify;
pub(crate) mod orders;
pub(crate) mod own_router;
pub(crate) mod ports;
pub(crate) mod preflight;
pub(crate) mod router;
mod router_search;
pub(crate) mod router_user;
mod routing;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod sessions;
pub(crate) mod signals;
mod start;
pub(crate) mod tunnels;
pub(crate) mod used_bridge;
