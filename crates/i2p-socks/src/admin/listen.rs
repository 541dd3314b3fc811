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
    config::admin::AdminListen,
    control::{
        routes::Routes,
        server::{Bounds, serve},
    },
    failure::Failure,
    status::board::Board,
};

/// How long one visit may take: pages are short.
const VISIT: Duration = Duration::from_secs(30);

/// The admin endpoint while it is bound. What it left in the file system goes away with it.
#[derive(Debug)]
pub(crate) struct AdminEndpoint {
    bound: Option<Bound>,
    at: String,
    /// A Unix socket's place.
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

impl AdminEndpoint {
    /// Listens where the configuration says, if it says so.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) async fn bind(listen: &AdminListen) -> Result<Option<Self>, Failure> {
        match listen {
            AdminListen::Off => Ok(None),
            AdminListen::Tcp(address) => Self::tcp(*address).await.map(Some).map_err(|error| {
                Failure::run_time(format_args!(
                    "cannot listen on {address} for the admin pages: {error}. Choose another port under [admin]."
                ))
            }),
            AdminListen::Unix(path) => Self::unix(path).map(Some).map_err(|error| {
                Failure::run_time(format_args!(
                    "cannot listen on {} for the admin pages: {error}. Choose another place under [admin].",
                    path.display()
                ))
            }),
        }
    }

    async fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let at = format!("http://{}/", listener.local_addr()?);
        Ok(Self { bound: Some(Bound::Tcp(listener)), at, path: None })
    }

    /// For the user that the proxy runs as. Never in the place of something that is not a dead socket.
    #[cfg(unix)]
    fn unix(path: &Path) -> io::Result<Self> {
        use std::{
            fs,
            os::unix::{
                fs::{FileTypeExt, PermissionsExt},
                net::UnixStream,
            },
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
            _ => {}
        }
        // Bound where nobody else gets before its mode is set, and then put in its place.
        let parent = path.parent().unwrap_or(Path::new("/"));
        let private = tempfile::Builder::new()
            .prefix(".a")
            .rand_bytes(4)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let new = private.path().join("s");
        let listener = tokio::net::UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(&new, path)?;
        let at = format!("unix:{}", path.display());
        Ok(Self { bound: Some(Bound::Unix(listener)), at, path: Some(path.to_owned()) })
    }

    #[cfg(not(unix))]
    fn unix(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where it is, as its users write it.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// Serves the pages until told to stop. A second time, it does nothing.
    pub(crate) fn serve(&mut self, board: &Board, stop: &CancellationToken) {
        let bounds = Bounds { connection: VISIT, ..Bounds::default() };
        let routes = |visitors| Arc::new(pages(Routes::default(), board, visitors));
        match self.bound.take() {
            Some(Bound::Tcp(listener)) => {
                tokio::spawn(serve(listener, routes(Visitors::OfLoopback), bounds, stop.clone()));
            }
            #[cfg(unix)]
            Some(Bound::Unix(listener)) => {
                tokio::spawn(serve(listener, routes(Visitors::OfASocket), bounds, stop.clone()));
            }
            None => {}
        }
        tracing::info!("status page and metrics: {}", self.at);
    }
}

impl Drop for AdminEndpoint {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Somebody may have taken it away.
            let _ = std::fs::remove_file(path);
        }
    }
}
