use std::{
    fmt, io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{socket::Socket, tcp_options::reset_on_close};

/// Bytes per read. The buffer is on the thread's stack.
const CHUNK_BYTES: usize = 16 * 1024;

/// Most bytes that are read ahead to find out whether a stream has ended.
const MAX_AHEAD_BYTES: usize = 64 * 1024;

/// A stream that is more than a socket: TLS, a filter that changes or checks bytes, or a stream in memory.
///
/// It is relayed by copying; only streams between two sockets are spliced. A flush has to send everything that was written before
/// it. A shutdown has to tell the other side that no more data follows, and reading has to go on after it.
pub trait Layer: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The socket below this stream, if there is one. Socket options and the detection of a lost connection go through it.
    fn socket(&self) -> Option<&Socket> {
        None
    }

    /// The TCP connection below this stream, if it is not a [`Socket`]. It is used like [`socket`](Self::socket).
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }

    /// Sets what the other side sees if the stream is dropped: a broken stream or an orderly end. A broken stream must not look
    /// complete.
    fn reset_on_close(&mut self, reset: bool) {
        match (self.socket(), self.tcp()) {
            (Some(socket), _) => socket.reset_on_close(reset),
            (None, Some(tcp)) => reset_on_close(tcp, reset),
            (None, None) => {}
        }
    }
}

/// Streams of a bridge with TLS.
#[cfg(feature = "tls")]
impl Layer for i2p_sam::TlsStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.tcp())
    }
}

/// A stream of any type, without a socket below it.
pub(super) struct Plain<T>(pub(super) T);

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Layer for Plain<T> {}

impl<T: AsyncRead + Unpin> AsyncRead for Plain<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Plain<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Gives a [`Layer`] the interface of a socket: reading without waiting, and shared use by one reader and one writer.
pub(super) struct Layered(Mutex<State>);

struct State {
    layer: Box<dyn Layer>,
    /// Data that was read ahead. Empty while the stream is idle.
    ahead: Vec<u8>,
    ended: bool,
}

impl Layered {
    pub(super) fn new(layer: impl Layer) -> Self {
        Self(Mutex::new(State { layer: Box::new(layer), ahead: Vec::new(), ended: false }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `work` with the socket below, if there is one.
    pub(super) fn with_socket<T>(&self, work: impl FnOnce(&Socket) -> T) -> Option<T> {
        self.state().layer.socket().map(work)
    }

    /// Calls `work` with the TCP connection below, if there is one that is not a [`Socket`].
    pub(super) fn with_tcp<T>(&self, work: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        self.state().layer.tcp().map(work)
    }

    pub(super) fn reset_on_close(&self, reset: bool) {
        self.state().layer.reset_on_close(reset);
    }

    /// Waits until [`try_read`](Self::try_read) returns something.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.ended || !state.ahead.is_empty() { Poll::Ready(Ok(())) } else { state.poll_ahead(context) }
    }

    /// Waits until the stream has ended, and keeps what is read before that. Never returns if more than [`MAX_AHEAD_BYTES`]
    /// precede the end.
    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        while !state.ended {
            if state.ahead.len() >= MAX_AHEAD_BYTES {
                return Poll::Pending;
            }
            ready!(state.poll_ahead(context))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        match state.take_ahead(buffer.len()) {
            Some(bytes) => {
                buffer.get_mut(..bytes.len()).unwrap_or_default().copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            None if state.ended => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(super) fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.state().layer).poll_write(context, bytes)
    }

    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().layer).poll_flush(context)
    }

    pub(super) fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().layer).poll_shutdown(context)
    }

    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        match state.take_ahead(buffer.remaining()) {
            Some(bytes) => {
                buffer.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
            None if state.ended => Poll::Ready(Ok(())),
            None => Pin::new(&mut state.layer).poll_read(context, buffer),
        }
    }
}

impl State {
    /// Reads ahead, or notices the end.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut buffer = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.layer).poll_read(context, &mut buffer))?;
        self.ended = buffer.filled().is_empty();
        self.ahead.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Takes up to `count` bytes of what was read ahead; `None` if there are none.
    fn take_ahead(&mut self, count: usize) -> Option<Vec<u8>> {
        if self.ahead.is_empty() {
            return None;
        }
        let rest = self.ahead.split_off(count.min(self.ahead.len()));
        Some(std::mem::replace(&mut self.ahead, rest))
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layered(..)")
    }
}
