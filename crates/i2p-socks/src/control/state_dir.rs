//! A state directory that this process owns, and the control socket in it.

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::routes::Routes;
#[cfg(unix)]
use super::server::{ServerLimits, serve};
#[cfg(unix)]
use super::socket;

/// Owns a state directory, with the control socket in it, until it is dropped.
#[derive(Debug)]
pub(crate) struct StateDirOwner {
    #[cfg(unix)]
    socket: socket::ControlSocket,
    #[cfg(unix)]
    listener: Option<tokio::net::UnixListener>,
}

impl StateDirOwner {
    /// Takes a state directory, and creates it if it does not exist. Clients that connect from now on wait for
    /// [`StateDirOwner::serve`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Why the directory cannot be used.
    #[cfg(unix)]
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        let (socket, listener) = socket::ControlSocket::bind(state_dir).map_err(|error| error.to_string())?;
        Ok(Self { socket, listener: Some(listener) })
    }

    /// Creates the state directory. Without Unix sockets, no command can talk to the running proxy.
    #[cfg(not(unix))]
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(state_dir).map_err(|error| error.to_string())?;
        Ok(Self {})
    }

    /// Serves these routes until `stop` is cancelled. A second call does nothing.
    pub(crate) fn serve(&mut self, routes: Routes, stop: &CancellationToken) {
        #[cfg(unix)]
        if let Some(listener) = self.listener.take() {
            tracing::debug!("control socket: {}", self.socket.path().display());
            tokio::spawn(serve(listener, Arc::new(routes), ServerLimits::default(), stop.clone()));
        }
        #[cfg(not(unix))]
        let _ = (routes, stop);
    }
}
