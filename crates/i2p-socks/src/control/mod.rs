//! The control socket, through which commands talk to the running proxy: HTTP/1.1 on a Unix socket in the state directory. `server`
//! and `routes` work for any listener, such as the admin endpoint; `client` is the side of the commands.
//! Imports nothing of this crate: the rooms that have something to serve add their handlers to `routes`.

pub(crate) mod client;
#[cfg(unix)]
pub(crate) mod owner_socket;
pub(crate) mod routes;
pub(crate) mod server;
#[cfg(unix)]
mod socket;
pub(crate) mod state_dir;
pub(crate) mod streamed_body;

/// The file name of the control socket, in the state directory.
const SOCKET: &str = "control.sock";
/// That another proxy has the state directory.
pub(crate) const IN_USE: &str = "another i2p-socks is running with it";
/// The state directory of the demo, in that of the proxy. Commands ask the demo if no proxy is running, and both can run at once.
pub(crate) const DEMO_DIRECTORY: &str = "demo";
