//! Listening sockets: over TCP, at Unix sockets that are made here, or handed down by whoever started the process.
//!
//! Imports client (addresses) and stream (sockets). Nothing here knows what is done with a connection.

mod inherited;
mod listener;
mod listeners;
mod place;
#[cfg(unix)]
mod unix_socket;

pub(crate) use self::listener::Listener;
#[cfg(unix)]
pub use self::place::SocketFile;
pub use self::{
    inherited::InheritedSockets,
    listeners::{Listeners, SocketPermissions},
    place::{BindCause, BindError, BoundAddress, ListenAt},
};
