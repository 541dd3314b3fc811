//! The listener of the admin endpoint.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::routes::{Visitors, pages};
use crate::{
    command_error::CommandError,
    config::admin::AdminListen,
    control::{
        routes::Routes,
        server::{ServerLimits, WhenBusy, serve},
    },
    status::board::Board,
};

/// How long one request may take. Pages are short.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The admin endpoint. Dropping it removes its socket file.
#[derive(Debug)]
pub(crate) struct AdminEndpoint {
    bound: Option<AdminListener>,
    address: String,
    /// The file of a Unix socket.
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum AdminListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

impl AdminEndpoint {
    /// Listens on the configured address; `None` if the endpoint is off.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) async fn bind(listen: &AdminListen) -> Result<Option<Self>, CommandError> {
        match listen {
            AdminListen::Off => Ok(None),
            AdminListen::Tcp(address) => Self::tcp(*address).await.map(Some).map_err(|error| {
                CommandError::run_time(format_args!(
                    "cannot listen on {address} for the admin pages: {error}. Choose another port under [admin]."
                ))
            }),
            AdminListen::Unix(path) => Self::unix(path).map(Some).map_err(|error| {
                CommandError::run_time(format_args!(
                    "cannot listen on {} for the admin pages: {error}. Choose another path under [admin].",
                    path.display()
                ))
            }),
        }
    }

    async fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = format!("http://{}/", listener.local_addr()?);
        Ok(Self { bound: Some(AdminListener::Tcp(listener)), address, path: None })
    }

    /// Listens on a Unix socket for the user that the proxy runs as. Replaces a dead socket, but no other file.
    #[cfg(unix)]
    fn unix(path: &Path) -> io::Result<Self> {
        use std::{
            fs,
            os::unix::{fs::FileTypeExt, net::UnixStream},
        };

        use crate::control::owner_socket;

        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
            _ => {}
        }
        let listener = owner_socket::bind(path)?;
        let address = format!("unix:{}", path.display());
        Ok(Self { bound: Some(AdminListener::Unix(listener)), address, path: Some(path.to_owned()) })
    }

    #[cfg(not(unix))]
    fn unix(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Its URL, or `unix:PATH`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Serves the pages until `stop` is cancelled. A second call does nothing.
    pub(crate) fn serve(&mut self, board: &Board, stop: &CancellationToken) {
        let limits = ServerLimits {
            when_busy: WhenBusy::CloseOldest,
            connection: REQUEST_TIMEOUT,
            ..ServerLimits::default()
        };
        let routes = |visitors| Arc::new(pages(Routes::default(), board, visitors));
        match self.bound.take() {
            Some(AdminListener::Tcp(listener)) => {
                tokio::spawn(serve(listener, routes(Visitors::OfLoopback), limits, stop.clone()));
            }
            #[cfg(unix)]
            Some(AdminListener::Unix(listener)) => {
                tokio::spawn(serve(listener, routes(Visitors::OfUnixSocket), limits, stop.clone()));
            }
            None => {}
        }
        tracing::info!("status page and metrics: {}", self.address);
    }
}

impl Drop for AdminEndpoint {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}
