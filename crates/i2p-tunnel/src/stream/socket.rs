#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::{
    future::poll_fn,
    io,
    net::{Shutdown, SocketAddr},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

#[cfg(target_os = "linux")]
use rustix::pipe::{SpliceFlags, splice};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::sleep,
};

use super::layer::{Layer, Layered, Plain};
use crate::limits::Limits;

/// How often the other end of a silent connection is asked before it counts as gone.
const PROBES: u32 = 4;

/// How often a socket that does not report its loss is checked for it.
const LOSS_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How often to look whether the other side has gone behind what it sent and nobody reads yet.
const END_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Pages are moved where they can be, and nothing waits.
#[cfg(target_os = "linux")]
const SPLICE_FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Any port where the client reached us: there it reaches the relay too, and on every address strangers would. On a socket for
/// both kinds of addresses, a client of IPv4 is told one of its kind.
pub(crate) fn beside(mut own: SocketAddr) -> SocketAddr {
    own.set_ip(own.ip().to_canonical());
    own.set_port(0);
    own
}

/// One end of what is relayed: a client, or the way on from here. A TCP connection, a Unix socket, or a [`Layer`] over one of them or
/// over nothing.
#[derive(Debug)]
pub struct Socket(Kind);

#[derive(Debug)]
enum Kind {
    /// Over TCP.
    Tcp(TcpStream),
    /// Within this machine.
    #[cfg(unix)]
    Unix(UnixStream),
    /// What has no descriptor of its own.
    Layered(Box<Layered>),
}

/// Does the same with a TCP connection and a Unix socket, and something else with a layer.
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
    /// A stream that is more than a socket.
    #[must_use]
    pub fn layered(layer: impl Layer) -> Self {
        Self(Kind::Layered(Box::new(Layered::new(layer))))
    }

    /// A stream of which nothing more is known, such as one in memory.
    #[must_use]
    pub fn plain(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::layered(Plain(stream))
    }

    /// Whether the kernel can splice it: it has a descriptor, and all bytes of the stream are those of the descriptor.
    #[cfg(target_os = "linux")]
    pub(crate) fn can_be_spliced(&self) -> bool {
        !matches!(self.0, Kind::Layered(_))
    }

    /// Returns once there may be something to read. One task at a time may wait: of several, the last is told.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        // Waiting so costs a connection nothing; tokio's own future for it has 170 bytes.
        poll_fn(|context| {
            with!(&self.0, stream => stream.poll_read_ready(context), layer => layer.poll_readable(context))
        })
        .await
    }

    /// Returns once there may be room to write. One task at a time may wait, which may be another one than that which reads.
    async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| {
            with!(&self.0, stream => stream.poll_write_ready(context), layer => layer.poll_flush(context))
        })
        .await
    }

    /// Waits until there is room for some of these bytes, and writes them. [`flush`](Self::flush) sends what a layer holds back.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Kind::Layered(layer) = &self.0 {
            return poll_fn(|context| layer.poll_write(context, bytes)).await;
        }
        loop {
            self.writable().await?;
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Sends what was written. Sockets do so by themselves.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Layered(layer) => poll_fn(|context| layer.poll_flush(context)).await,
            _ => Ok(()),
        }
    }

    /// Returns once the other side has ended it; what it sends until then means nothing. Safe to drop and to call again.
    pub(crate) async fn ended(&self) {
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

    /// Returns once nobody can be told anything any more: the other side has reset the connection, or its machine has gone.
    /// Reads nothing, so that what has been sent stays for whoever reads next. A side that has only finished sending still
    /// listens, for all that TCP knows. Safe to drop and to call again.
    pub(crate) async fn lost(&self) {
        match &self.0 {
            // Where the system does not say so (Windows), a client keeps its place for longer, which is all.
            Kind::Tcp(stream) => drop(stream.ready(Interest::ERROR).await),
            // There is no reset here, and an end that was closed looks like one that has finished sending, until one writes.
            _ => {
                while !self.is_lost() {
                    sleep(LOSS_CHECK_INTERVAL).await;
                }
            }
        }
    }

    /// Whether nobody can be told anything any more; of a layer, whether that is so of the socket below.
    fn is_lost(&self) -> bool {
        match &self.0 {
            Kind::Tcp(stream) => {
                let ready = pin!(stream.ready(Interest::ERROR));
                ready.poll(&mut Context::from_waker(Waker::noop())).is_ready()
            }
            #[cfg(unix)]
            Kind::Unix(stream) => {
                stream.try_write(&[]).is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
            }
            Kind::Layered(layer) => layer.with_socket(Self::is_lost).unwrap_or_default(),
        }
    }

    /// Returns soon after the other side has ended it, and leaves what it sent before where it is.
    pub(crate) async fn ended_behind_data(&self) {
        loop {
            // Returns at once as long as there is something to read, and cannot be told to wait for the end alone.
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

    /// Reads what is there, without waiting; 0 is the end, and [`io::ErrorKind::WouldBlock`] that nothing is there.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_read(buffer), layer => layer.try_read(buffer))
    }

    /// Writes as much as there is room for, without waiting; a layer never has room without.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_write(bytes), _layer => Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Our address and the other side's, where it has any: a Unix socket has not.
    #[must_use]
    pub fn tcp_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        match &self.0 {
            Kind::Tcp(stream) => Some((stream.local_addr().ok()?, stream.peer_addr().ok()?)),
            #[cfg(unix)]
            Kind::Unix(_) => None,
            Kind::Layered(layer) => layer.with_socket(Self::tcp_addresses)?,
        }
    }

    /// Has the kernel move up to so many bytes from here into a pipe, without waiting; 0 is the end.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_splice_into(&self, pipe: &OwnedFd, count: usize) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_io(Interest::READABLE, || {
            splice(stream, None, pipe, None, count, SPLICE_FLAGS).map_err(Into::into)
        }), _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Has the kernel move up to so many bytes from a pipe to here, without waiting.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_splice_from(&self, pipe: &OwnedFd, count: usize) -> io::Result<usize> {
        with!(&self.0, stream => stream.try_io(Interest::WRITABLE, || {
            splice(pipe, None, stream, None, count, SPLICE_FLAGS).map_err(Into::into)
        }), _layer => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Returns once there may be room to splice more from a pipe.
    #[cfg(target_os = "linux")]
    pub(crate) async fn can_take_more(&self) -> io::Result<()> {
        self.writable().await
    }

    /// Has small writes sent at once: Nagle's algorithm would hold the second of two back for 40 ms.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn send_at_once(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(unix)]
            Kind::Unix(_) => Ok(()),
            Kind::Layered(layer) => layer.with_socket(Self::send_at_once).unwrap_or(Ok(())),
        }
    }

    /// Has the operating system notice when the other end has gone without a word: its machine, or the way to it. Sockets
    /// within this machine know anyway.
    pub(crate) fn notice_loss(&self, limits: Limits) {
        let stream = match &self.0 {
            Kind::Tcp(stream) => stream,
            #[cfg(unix)]
            Kind::Unix(_) => return,
            Kind::Layered(layer) => {
                layer.with_socket(|socket| socket.notice_loss(limits));
                return;
            }
        };
        let socket = socket2::SockRef::from(stream);
        if let Some(silence) = limits.keepalive {
            let probes = socket2::TcpKeepalive::new().with_time(silence);
            #[cfg(any(
                target_os = "linux",
                target_os = "android",
                target_vendor = "apple",
                target_os = "freebsd"
            ))]
            let probes = probes.with_interval(silence / PROBES).with_retries(PROBES);
            // Where the system does not do it, connections live longer, which is all.
            let _ = socket.set_tcp_keepalive(&probes);
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket.set_tcp_user_timeout(limits.user_timeout);
    }

    /// What the other side sees when this is closed without a word: a reset, or the end of a stream that was said in full. It
    /// is the operating system that does it, so that it also holds when this process dies. A socket within this machine has no
    /// reset.
    pub(crate) fn reset_on_close(&self, reset: bool) {
        match &self.0 {
            Kind::Tcp(stream) => {
                // Where the system does not do it, a stream that broke looks like one that ended, which is all.
                let _ = socket2::SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO));
            }
            #[cfg(unix)]
            Kind::Unix(_) => {}
            Kind::Layered(layer) => layer.reset_on_close(reset),
        }
    }

    /// Tells the other side that nothing more is written, and goes on reading: tokio's own shutdown wants the stream for itself.
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

    /// What was sent ahead, which stays where it is.
    async fn ahead(socket: &Socket) -> Vec<u8> {
        let mut read = vec![0; 16];
        let _ = socket.readable().await;
        let length = socket.try_read(&mut read).unwrap_or_default();
        read.truncate(length);
        read
    }

    #[tokio::test]
    async fn a_side_that_has_finished_sending_is_lost_only_once_it_has_gone() {
        let (client, mut other) = UnixStream::pair().unwrap();
        let client = Socket::from(client);
        other.write_all(b"ahead").await.unwrap();
        other.shutdown().await.unwrap();
        assert!(timeout(LOSS_CHECK_INTERVAL * 2, client.lost()).await.is_err());
        drop(other);
        timeout(LONG, client.lost()).await.unwrap();
        assert_eq!(ahead(&client).await, b"ahead");
    }

    #[tokio::test]
    async fn a_reset_is_noticed_and_an_end_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = Socket::from(listener.accept().await.unwrap().0);
        other.write_all(b"ahead").await.unwrap();
        other.shutdown().await.unwrap();
        assert!(timeout(LOSS_CHECK_INTERVAL, client.lost()).await.is_err());
        assert_eq!(ahead(&client).await, b"ahead");
        other.set_zero_linger().unwrap();
        drop(other);
        timeout(LONG, client.lost()).await.unwrap();
    }
}
