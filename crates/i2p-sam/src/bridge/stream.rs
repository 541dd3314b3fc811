//! The socket to a bridge. Once a stream is connected, it carries the stream's data and nothing else.

#[cfg(unix)]
use std::path::Path;
use std::{
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(unix)]
use tokio::{
    net::UnixStream,
    time::{Duration, sleep},
};

use crate::address::BridgeAddress;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// The pause before another attempt while the queue of a Unix socket is full.
#[cfg(unix)]
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// A stream in I2P: our socket to the router's bridge, which carries the stream's data from the first byte on.
///
/// tokio's traits read and write it whatever it is. A program that needs the socket itself, to splice or to set options,
/// takes it out of its variant.
#[derive(Debug)]
#[non_exhaustive]
pub enum SamStream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A TCP connection with TLS. Write, then flush.
    #[cfg(feature = "tls")]
    Tls(TlsStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Evaluates one expression for every kind of stream.
macro_rules! with {
    ($stream:expr, $socket:ident => $work:expr) => {
        match $stream {
            SamStream::Tcp($socket) => $work,
            #[cfg(feature = "tls")]
            SamStream::Tls($socket) => $work,
            #[cfg(unix)]
            SamStream::Unix($socket) => $work,
        }
    };
}

impl SamStream {
    /// Connects to a bridge. One that is slow to accept is waited for: the caller sets the limit. Sets `is_accepted` as soon as a program
    /// has accepted the connection, also if a handshake of TLS follows.
    pub(super) async fn connect(address: &BridgeAddress, is_accepted: &mut bool) -> io::Result<Self> {
        let stream = match address {
            BridgeAddress::Tcp(address) => without_delay(TcpStream::connect(address).await?),
            BridgeAddress::Changing(address) => without_delay(address.connect().await?),
            #[cfg(feature = "tls")]
            BridgeAddress::Tls(address) => {
                let stream = address.connect().await?;
                *is_accepted = true;
                address.handshake(stream).await.map(Self::Tls)
            }
            #[cfg(unix)]
            BridgeAddress::Unix(path) => {
                connect_unix(path).await.map(Self::Unix).map_err(|error| explain(path, error))
            }
            #[cfg(unix)]
            BridgeAddress::Connector(connector) => connector.connect().await.map(Self::Unix),
        };
        *is_accepted |= stream.is_ok();
        stream
    }

    /// Our own address and the bridge's, where the bridge is reached over TCP without TLS.
    pub(crate) fn tcp_addresses(&self) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
        match self {
            Self::Tcp(stream) => Ok(Some((stream.local_addr()?, stream.peer_addr()?))),
            // A program that wants TLS has to choose to send datagrams, which have none.
            #[cfg(feature = "tls")]
            Self::Tls(_) => Ok(None),
            #[cfg(unix)]
            Self::Unix(_) => Ok(None),
        }
    }

    /// Waits for bytes and copies them to `buffer`, without taking them. Returns their number, 0 at the end.
    pub(super) fn poll_peek(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(context, &mut ReadBuf::new(buffer)),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_peek(context, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => loop {
                std::task::ready!(stream.poll_read_ready(context))?;
                match stream.try_io(tokio::io::Interest::READABLE, || peek(stream, buffer)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
        }
    }

    /// Whether it is open and the bridge has sent nothing on it. Asks the operating system, since the runtime may not have
    /// noticed yet.
    pub(super) fn is_silent(&self) -> bool {
        let nothing = &mut [MaybeUninit::uninit()];
        let seen = match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream).peek(nothing),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => return stream.is_silent(),
            #[cfg(unix)]
            Self::Unix(stream) => socket2::SockRef::from(stream).peek(nothing),
        };
        seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn without_delay(stream: TcpStream) -> io::Result<SamStream> {
    stream.set_nodelay(true)?;
    Ok(SamStream::Tcp(stream))
}

/// Copies what has arrived to `buffer`, without taking it or waiting. tokio's Unix sockets cannot.
#[cfg(unix)]
fn peek(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    use rustix::net::{RecvFlags, recv};

    Ok(recv(stream, buffer, RecvFlags::PEEK)?.0)
}

/// Connects to a Unix socket. Where TCP waits for a place in the listener's queue, a Unix socket that does not block fails.
#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
            result => return result,
        }
    }
}

/// Replaces the system's words by what they mean for a Unix socket.
#[cfg(unix)]
fn explain(path: &Path, error: io::Error) -> io::Error {
    use std::os::unix::fs::FileTypeExt;

    // The system refuses a connection to any file.
    let is_socket = || std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    match error.kind() {
        kind @ io::ErrorKind::NotFound => io::Error::new(kind, "there is no such file"),
        kind @ io::ErrorKind::PermissionDenied => {
            io::Error::new(kind, "this user has no permission to connect")
        }
        kind @ io::ErrorKind::ConnectionRefused if is_socket() => {
            io::Error::new(kind, "no program listens on this socket")
        }
        io::ErrorKind::ConnectionRefused => {
            io::Error::new(io::ErrorKind::InvalidInput, "the file is not a socket")
        }
        _ => error,
    }
}

impl AsyncRead for SamStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for SamStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        with!(self, stream => stream.is_write_vectored())
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_is_waited_for() {
        use socket2::{Domain, SockAddr, Socket, Type};

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sam");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let address = BridgeAddress::from(path.as_path());
        let mut is_accepted = false;
        let _first = SamStream::connect(&address, &mut is_accepted).await.unwrap();
        let (second, ()) = tokio::join!(SamStream::connect(&address, &mut is_accepted), async {
            sleep(QUEUE_PAUSE * 4).await;
            listener.accept().unwrap();
        });
        second.unwrap();
    }

    #[tokio::test]
    async fn an_error_says_what_is_wrong_with_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| BridgeAddress::Unix(dir.path().join(name));
        std::fs::write(dir.path().join("file"), "").unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("left")).unwrap());
        for (name, kind, text) in [
            ("missing", io::ErrorKind::NotFound, "there is no such file"),
            ("file", io::ErrorKind::InvalidInput, "the file is not a socket"),
            ("left", io::ErrorKind::ConnectionRefused, "no program listens on this socket"),
        ] {
            let error = SamStream::connect(&at(name), &mut false).await.unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        }
    }
}
