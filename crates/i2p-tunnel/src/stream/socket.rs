#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::{
    future::{pending, poll_fn},
    io,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use i2p_sam::SamStream;
#[cfg(target_os = "linux")]
use rustix::pipe::{SpliceFlags, splice};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::sleep,
};

#[cfg(target_os = "linux")]
use super::sock_diag::{SocketOwner, Transport, owner, queues};
use super::{
    layer::{Layer, Layered, Plain},
    tcp_options,
};
use crate::limits::Limits;

/// How often a socket that does not report its loss is checked for it.
const LOSS_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// After how long a side that has finished sending is first checked again for having closed its socket. Each pause is twice the one
/// before, up to [`MAX_OWNER_CHECK_INTERVAL`].
#[cfg(target_os = "linux")]
const FIRST_OWNER_CHECK_INTERVAL: Duration = Duration::from_millis(50);
#[cfg(target_os = "linux")]
const MAX_OWNER_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How often to check whether the other side has closed the connection, while data from it is still unread.
const END_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Move pages where possible, and never wait.
#[cfg(target_os = "linux")]
const SPLICE_FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Returns the address with port 0. A relay for a client is bound there: on the address where the client reached us, so that
/// others cannot reach it on other addresses. On a dual-stack socket, an IPv4 client gets an IPv4 address.
pub(crate) fn any_port_on(mut own: SocketAddr) -> SocketAddr {
    own.set_ip(own.ip().to_canonical());
    own.set_port(0);
    own
}

/// One end of a relay: a client, or the connection that leads on from here. It is a TCP connection, a Unix socket, or a
/// [`Layer`].
#[derive(Debug)]
pub struct Socket(Kind);

#[derive(Debug)]
enum Kind {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// A stream without a descriptor of its own.
    Layered(Box<Layered>),
}

/// Evaluates one expression for TCP connections and Unix sockets, and another one for layers.
macro_rules! with {
    ($socket:expr, $stream:ident => $work:expr, $layer:ident => $other:expr) => {
        match $socket {
            Kind::Tcp($stream) => $work,
            #[cfg(unix)]
            Kind::Unix($stream) => $work,
            Kind::Layered($layer) => $other,
        }
    };
}

impl Socket {
    /// Makes a socket from a layer.
    #[must_use]
    pub fn layered(layer: impl Layer) -> Self {
        Self(Kind::Layered(Box::new(Layered::new(layer))))
    }

    /// Makes a socket from any other stream, such as one in memory.
    #[must_use]
    pub fn plain(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::layered(Plain(stream))
    }

    /// The descriptor of a TCP connection or a Unix socket. A layer has none: the bytes of its descriptor are not those of the stream.
    #[cfg(unix)]
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        with!(&self.0, stream => Some(stream.as_fd()), _layer => None)
    }

    /// Whether the kernel can splice it. A layer cannot be spliced: the bytes of its descriptor are not those of the stream.
    #[cfg(target_os = "linux")]
    pub(crate) fn can_be_spliced(&self) -> bool {
        !matches!(self.0, Kind::Layered(_))
    }

    /// Returns once there may be something to read. One task at a time may wait; of several, only the last is woken.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        // This takes no space per connection; tokio's own future takes 170 bytes.
        poll_fn(|context| self.poll_readable(context)).await
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(&self.0, stream => stream.poll_read_ready(context), layer => layer.poll_readable(context))
    }

    /// Waits for data and reads some, although others may use the socket. Returns 0 at the end.
    pub(crate) fn poll_read_shared(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_readable(context))?;
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Waits for room and writes some of the bytes, although others may use the socket. A layer may hold them back until it is
    /// flushed.
    pub(crate) fn poll_write_shared(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Kind::Layered(layer) = &self.0 {
            return layer.poll_write(context, bytes);
        }
        loop {
            ready!(self.poll_writable(context))?;
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Sends what a layer holds back.
    pub(crate) fn poll_flush_shared(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Layered(layer) => layer.poll_flush(context),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Returns once there may be room to write. One task at a time may wait. It may be another task than the one that reads.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_writable(context)).await
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(&self.0, stream => stream.poll_write_ready(context), layer => layer.poll_flush(context))
    }

    /// Waits for room and writes some of the bytes. A layer may hold them back until [`flush`](Self::flush).
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_write_shared(context, bytes)).await
    }

    /// Sends what a layer holds back. Sockets hold nothing back.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush_shared(context)).await
    }

    /// Returns once the other side has closed the connection, and discards what it sends until then. Cancel-safe.
    pub(crate) async fn until_closed(&self) {
        let mut thrown_away = [0; 256];
        loop {
            if self.readable().await.is_err() {
                return;
            }
            match self.try_read(&mut thrown_away) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Returns once the connection is lost: the other side has reset it, or its machine is gone. Reads nothing, so that no data
    /// is taken from the next reader. A side that has only finished sending is not lost, as far as TCP can tell. Cancel-safe.
    pub(crate) async fn until_lost(&self) {
        match &self.0 {
            // On systems that do not report this, such as Windows, a client keeps its place for longer.
            Kind::Tcp(stream) => drop(stream.ready(Interest::ERROR).await),
            // Unix sockets have no reset, and a closed end looks like one that has finished sending until we write. A write without
            // data is enough.
            _ => {
                while !self.is_lost() {
                    sleep(LOSS_CHECK_INTERVAL).await;
                }
            }
        }
    }

    /// Returns soon after nobody is left at the other side: the connection is lost, or the program there has closed its socket. A
    /// side that has only finished sending is not gone. Where the system does not know the difference, as for other machines, this
    /// returns only if the connection is lost. Reads nothing. Cancel-safe.
    pub(crate) async fn until_gone(&self) {
        tokio::select! {
            () = self.until_lost() => {}
            () = self.until_abandoned() => {}
        }
    }

    /// Returns soon after the other side has finished sending and its program has closed the socket.
    async fn until_abandoned(&self) {
        #[cfg(target_os = "linux")]
        if let Some((local, remote)) = self.tcp_addresses() {
            self.until_closed_unread().await;
            let (mut was_open, mut interval) = (false, FIRST_OWNER_CHECK_INTERVAL);
            loop {
                match owner(Transport::Tcp, remote, local) {
                    Ok(Some(SocketOwner { is_open: true, .. })) => was_open = true,
                    Ok(None) if !was_open => break,
                    Ok(_) => return,
                    // A sandbox may forbid to ask, or there is no descriptor at the moment.
                    Err(_) => {}
                }
                sleep(interval).await;
                interval = (interval * 2).min(MAX_OWNER_CHECK_INTERVAL);
            }
        }
        pending::<()>().await;
    }

    /// How many bytes that were written here the other side has not acknowledged, and how many its program has not read. While it reads
    /// slowly, these change, although nothing more can be written. `None` where the system does not know it, as for what programs on
    /// other machines have read.
    pub(crate) fn untaken(&self) -> [Option<u32>; 2] {
        #[cfg(target_os = "linux")]
        if let Some((local, remote)) = self.tcp_addresses() {
            let queues = |address, peer| queues(address, peer).ok().flatten();
            return [
                queues(local, remote).map(|own| own.unsent),
                queues(remote, local).map(|other| other.unread),
            ];
        }
        [None; 2]
    }

    /// Whether the connection is lost. For a layer, whether the socket below it is.
    fn is_lost(&self) -> bool {
        match &self.0 {
            Kind::Tcp(stream) => tcp_options::is_lost(stream),
            #[cfg(unix)]
            Kind::Unix(stream) => {
                stream.try_write(&[]).is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
            }
            Kind::Layered(layer) => {
                let lost = layer.with_socket(Self::is_lost);
                lost.or_else(|| layer.with_tcp(tcp_options::is_lost)).unwrap_or_default()
            }
        }
    }

    /// Returns soon after the other side has closed the connection, and leaves its data unread.
    pub(crate) async fn until_closed_unread(&self) {
        loop {
            // This returns at once while there is something to read. There is no way to wait for the end alone.
            let ready = match &self.0 {
                Kind::Tcp(stream) => stream.ready(Interest::READABLE).await,
                #[cfg(unix)]
                Kind::Unix(stream) => stream.ready(Interest::READABLE).await,
                Kind::Layered(layer) => {
                    let _ = poll_fn(|context| layer.poll_ended(context)).await;
                    return;
                }
            };
            match ready {
                Ok(ready) if !ready.is_read_closed() => sleep(END_CHECK_INTERVAL).await,
                _ => return,
            }
        }
    }

    /// Reads without waiting. Returns 0 at the end, and [`io::ErrorKind::WouldBlock`] if there is nothing to read yet.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_read(buffer), layer => layer.try_read(buffer))
    }

    /// Writes without waiting. For a layer it always returns [`io::ErrorKind::WouldBlock`].
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_write(bytes), _layer => Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Our address and the other side's; `None` for Unix sockets.
    #[must_use]
    pub fn tcp_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        match &self.0 {
            Kind::Tcp(stream) => Some((stream.local_addr().ok()?, stream.peer_addr().ok()?)),
            #[cfg(unix)]
            Kind::Unix(_) => None,
            Kind::Layered(layer) => layer.with_socket(Self::tcp_addresses)?,
        }
    }

    /// Splices up to `count` bytes from here into a pipe, without waiting. Returns 0 at the end.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_splice_into(&self, pipe: &OwnedFd, count: usize) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_io(Interest::READABLE, || {
            splice(stream, None, pipe, None, count, SPLICE_FLAGS).map_err(Into::into)
        }), _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Splices up to `count` bytes from a pipe to here, without waiting.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_splice_from(&self, pipe: &OwnedFd, count: usize) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_io(Interest::WRITABLE, || {
            splice(pipe, None, stream, None, count, SPLICE_FLAGS).map_err(Into::into)
        }), _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Disables Nagle's algorithm, which would delay the second of two small writes by 40 ms.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(unix)]
            Kind::Unix(_) => Ok(()),
            Kind::Layered(layer) => layer.with_socket(Self::set_nodelay).unwrap_or(Ok(())),
        }
    }

    /// Lets the operating system detect that the other machine, or the path to it, is gone. Unix sockets need no such detection.
    pub(crate) fn detect_loss(&self, limits: Limits) {
        match &self.0 {
            Kind::Tcp(stream) => tcp_options::detect_loss(stream, limits),
            #[cfg(unix)]
            Kind::Unix(_) => {}
            Kind::Layered(layer) => {
                layer.with_socket(|socket| socket.detect_loss(limits));
                layer.with_tcp(|stream| tcp_options::detect_loss(stream, limits));
            }
        }
    }

    /// Sets what the other side sees if this is dropped: a reset, or an orderly end. The operating system does it, so it also
    /// holds if this process dies. Unix sockets have no reset.
    pub fn reset_on_close(&self, reset: bool) {
        match &self.0 {
            Kind::Tcp(stream) => tcp_options::reset_on_close(stream, reset),
            #[cfg(unix)]
            Kind::Unix(_) => {}
            Kind::Layered(layer) => layer.reset_on_close(reset),
        }
    }

    /// Tells the other side that no more data follows, and goes on reading. tokio's own shutdown needs exclusive access.
    pub(crate) async fn finish_writing(&self) -> io::Result<()> {
        with!(&self.0, stream => socket2::SockRef::from(stream).shutdown(Shutdown::Write), layer => {
            poll_fn(|context| layer.poll_shutdown(context)).await
        })
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self(Kind::Unix(stream))
    }
}

impl From<SamStream> for Socket {
    fn from(stream: SamStream) -> Self {
        match stream {
            SamStream::Tcp(stream) => stream.into(),
            #[cfg(feature = "tls")]
            SamStream::Tls(stream) => Self::layered(stream),
            #[cfg(unix)]
            SamStream::Unix(stream) => stream.into(),
            // Of a later version of i2p-sam.
            stream => Self::plain(stream),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(
            &mut self.get_mut().0,
            stream => Pin::new(stream).poll_read(context, buffer),
            layer => layer.poll_read(context, buffer)
        )
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        with!(
            &mut self.get_mut().0,
            stream => Pin::new(stream).poll_write(context, bytes),
            layer => layer.poll_write(context, bytes)
        )
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(
            &mut self.get_mut().0,
            stream => Pin::new(stream).poll_flush(context),
            layer => layer.poll_flush(context)
        )
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(
            &mut self.get_mut().0,
            stream => Pin::new(stream).poll_shutdown(context),
            layer => layer.poll_shutdown(context)
        )
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener, time::timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Returns what was sent before the end; it must still be there.
    async fn ahead(socket: &Socket) -> Vec<u8> {
        let mut read = vec![0; 16];
        let _ = socket.readable().await;
        let length = socket.try_read(&mut read).unwrap_or_default();
        read.truncate(length);
        read
    }

    #[tokio::test]
    async fn a_unix_socket_is_lost_once_it_is_closed_and_not_when_it_finishes_sending() {
        let (client, mut other) = UnixStream::pair().unwrap();
        let client = Socket::from(client);
        other.write_all(b"ahead").await.unwrap();
        other.shutdown().await.unwrap();
        assert!(timeout(LOSS_CHECK_INTERVAL * 2, client.until_lost()).await.is_err());
        drop(other);
        timeout(LONG, client.until_lost()).await.unwrap();
        assert_eq!(ahead(&client).await, b"ahead");
    }

    #[tokio::test]
    async fn a_tcp_connection_is_lost_by_a_reset_and_not_by_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = Socket::from(listener.accept().await.unwrap().0);
        other.write_all(b"ahead").await.unwrap();
        other.shutdown().await.unwrap();
        assert!(timeout(LOSS_CHECK_INTERVAL, client.until_lost()).await.is_err());
        assert_eq!(ahead(&client).await, b"ahead");
        other.set_zero_linger().unwrap();
        drop(other);
        timeout(LONG, client.until_lost()).await.unwrap();
    }
}
