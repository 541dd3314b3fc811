//! How commands speak to a running proxy: HTTP/1.1 on a Unix socket in the state directory. `server` and `routes` serve any
//! listener; `client` is the commands' side.
//! May import `failure` and nothing else of this crate; what a route does is its handler's affair.

pub(crate) mod client;
pub(crate) mod pieces;
pub(crate) mod routes;
pub(crate) mod server;
#[cfg(unix)]
mod socket;
pub(crate) mod state_dir;

/// The file name of the control socket, in the state directory.
const SOCKET: &str = "control.sock";
