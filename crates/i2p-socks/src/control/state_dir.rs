//! The right of one process to a state directory, and the control socket in it.

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::routes::Routes;
#[cfg(unix)]
use super::server::{Bounds, serve};
#[cfg(unix)]
use super::socket;

/// The right of this process to a state directory, and its socket there, until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    #[cfg(unix)]
    socket: socket::ControlSocket,
    #[cfg(unix)]
    listener: Option<tokio::net::UnixListener>,
}

impl Control {
    /// Takes the state directory, and makes it if it is not there. Clients that connect from now on wait for
    /// [`Control::serve`]. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// Why the directory cannot be used, for a person.
    #[cfg(unix)]
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        let (socket, listener) = socket::ControlSocket::bind(state_dir).map_err(|error| error.to_string())?;
        Ok(Self { socket, listener: Some(listener) })
    }

    /// Makes the state directory. There are no Unix sockets here, and so no commands for a running proxy.
    #[cfg(not(unix))]
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(state_dir).map_err(|error| error.to_string())?;
        Ok(Self {})
    }

    /// Serves these routes until told to stop. A second time, it does nothing.
    pub(crate) fn serve(&mut self, routes: Routes, stop: &CancellationToken) {
        #[cfg(unix)]
        if let Some(listener) = self.listener.take() {
            tracing::debug!("control socket: {}", self.socket.path().display());
            tokio::spawn(serve(listener, Arc::new(routes), Bounds::default(), stop.clone()));
        }
        #[cfg(not(unix))]
        let _ = (routes, stop);
    }
}
