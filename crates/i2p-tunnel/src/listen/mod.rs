//! Listening sockets: TCP, Unix sockets created here, and sockets inherited from the parent process.
//!
//! Imports `client` (addresses) and `stream` (sockets). Nothing here knows how a connection is served.

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
