//! Listening sockets: TCP, Unix sockets created here, sockets inherited from the parent process, and those of gateways: DNS and
//! connections that lead elsewhere.
//!
//! Imports `client` (addresses) and `stream` (sockets). Nothing here knows how a connection is served.

mod gateway;
mod inherited;
mod listener;
mod listeners;
mod place;
#[cfg(unix)]
mod unix_socket;

#[cfg(unix)]
pub use self::place::SocketFile;
pub(crate) use self::{
    gateway::datagram_client,
    listener::{Accepted, Listener, Purpose},
};
pub use self::{
    inherited::InheritedSockets,
    listeners::{Listeners, SocketPermissions},
    place::{BindCause, BindError, BoundAddress, Interception, ListenAt},
};
