//! Where a bridge listens, and its connections: TCP or a Unix socket.

use std::{io, mem::MaybeUninit, net::Shutdown};

#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
};

/// A listening socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Otherwise an answer in several writes would wait for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                Ok(Socket::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }
}

/// A connection.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Evaluates one expression for every kind of socket.
macro_rules! with {
    ($socket:expr, $stream:ident => $work:expr) => {
        match $socket {
            Socket::Tcp($stream) => $work,
            #[cfg(unix)]
            Socket::Unix($stream) => $work,
        }
    };
}

impl Socket {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        with!(self, stream => stream.readable().await)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        with!(self, stream => stream.writable().await)
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_read(buffer))
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_write(bytes))
    }

    /// Sends a FIN, and goes on reading. tokio's own shutdown needs the stream by value.
    pub(crate) fn finish(&self) -> io::Result<()> {
        with!(self, stream => socket2::SockRef::from(stream).shutdown(Shutdown::Write))
    }

    /// Waits until there is something to read, and leaves it there. Returns `false` at the end.
    pub(crate) async fn has_data(&self) -> io::Result<bool> {
        loop {
            self.readable().await?;
            let byte = &mut [MaybeUninit::uninit()];
            let seen = with!(self, stream => stream.try_io(Interest::READABLE, || {
                socket2::SockRef::from(stream).peek(byte)
            }));
            match seen {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                seen => return seen.map(|count| count > 0),
            }
        }
    }
}
