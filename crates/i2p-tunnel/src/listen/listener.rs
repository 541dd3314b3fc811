use std::{io, sync::Arc};

use tokio::net::TcpListener;

use super::place::BoundAddress;
#[cfg(unix)]
use super::unix_socket::{BoundFile, UnixSocket};
use crate::{client::ClientAddress, stream::Socket};

/// One listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    pub(crate) fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(BoundAddress::Tcp),
            #[cfg(unix)]
            Self::Unix(socket) => socket.path().map(BoundAddress::Unix),
        }
    }

    #[cfg(unix)]
    pub(super) fn file(&self) -> Option<BoundFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => socket.file(),
        }
    }

    /// The listener's part of an isolation key: its address. Listeners whose address cannot be read share the empty name; a bound
    /// listener has one.
    pub(crate) fn name(&self) -> Arc<str> {
        self.address().map(|address| address.to_string()).unwrap_or_default().into()
    }

    /// Waits for the next client. Returns its connection and address. Cancel-safe: no connection is lost.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, ClientAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((stream.into(), ClientAddress::Ip(from.ip().to_canonical())))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, user) = socket.accept().await?;
                Ok((stream.into(), ClientAddress::User(user)))
            }
        }
    }
}
