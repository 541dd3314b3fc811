use std::{
    fmt, io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client;

/// A TLS connection to a bridge. What is written may be held back until a flush.
pub struct TlsStream(Box<client::TlsStream<TcpStream>>);

impl TlsStream {
    pub(super) fn new(stream: client::TlsStream<TcpStream>) -> Self {
        Self(Box::new(stream))
    }

    /// The TCP connection below, for its options and its state. Its bytes are those of TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        self.0.get_ref().0
    }

    /// Waits for bytes and copies them to `buffer`, without taking them. Returns their number, 0 at the end.
    pub(crate) fn poll_peek(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let seen = ready!(Pin::new(&mut *self.0).poll_fill_buf(context))?;
        let length = seen.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(seen) {
            *to = *from;
        }
        Poll::Ready(Ok(length))
    }

    /// Whether it is open and the bridge has sent nothing on it, as far as the operating system knows.
    pub(crate) fn is_silent(&self) -> bool {
        let (tcp, session) = self.0.get_ref();
        let seen = socket2::SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
        session.wants_read() && seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("tcp", self.tcp()).finish_non_exhaustive()
    }
}
