#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::{
    future::poll_fn,
    io,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
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

use crate::limits::Limits;

/// How often the other end of a silent connection is asked before it counts as gone.
const PROBES: u32 = 4;

/// How often a socket within this machine is asked whether anybody is at its other end.
#[cfg(unix)]
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// How often to look whether the other side has gone behind what it sent and nobody reads yet.
const LOOK: Duration = Duration::from_secs(1);

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

/// One end of what is relayed: a client, or the way on from here.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Within this machine.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Does the same with whatever socket it is.
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
    /// Comes back when there may be something to read. One task at a time may wait: of several, the last is told.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn readable(&self) -> io::Result<()> {
        // Waiting so costs a connection nothing; tokio's own future for it has 170 bytes.
        with!(self, stream => poll_fn(|context| stream.poll_read_ready(context)).await)
    }

    /// Comes back when there may be room to write. One task at a time may wait, which may be another one than that which reads.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn writable(&self) -> io::Result<()> {
        with!(self, stream => poll_fn(|context| stream.poll_write_ready(context)).await)
    }

    /// Comes back when the other side has ended it; what it sends until then means nothing. Safe to drop and to call again.
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

    /// Comes back when nobody can be told anything any more: the other side has reset the connection, or its machine has gone.
    /// Reads nothing, so that what has been sent stays for whoever reads next. A side that has only finished sending still
    /// listens, for all that TCP knows. Safe to drop and to call again.
    pub(crate) async fn lost(&self) {
        match self {
            // Where the system does not say so (Windows), a client keeps its place for longer, which is all.
            Self::Tcp(stream) => drop(stream.ready(Interest::ERROR).await),
            // There is no reset here, and an end that was closed looks like one that has finished sending, until one writes.
            #[cfg(unix)]
            Self::Unix(stream) => {
                let closed = |error: io::Error| error.kind() != io::ErrorKind::WouldBlock;
                while !stream.try_write(&[]).is_err_and(closed) {
                    sleep(ASKED_EVERY).await;
                }
            }
        }
    }

    /// Comes back soon after the other side has ended it, and leaves what it sent before where it is.
    pub(crate) async fn ended_behind_data(&self) {
        loop {
            // Comes back at once as long as there is something to read, and cannot be told to wait for the end alone.
            match with!(self, stream => stream.ready(Interest::READABLE).await) {
                Ok(ready) if !ready.is_read_closed() => sleep(LOOK).await,
                _ => return,
            }
        }
    }

    /// Reads what is there, without waiting; 0 is the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, and what the operating system says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_read(buffer))
    }

    /// Writes as much as there is room for, without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, and what the operating system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_write(bytes))
    }

    /// Our address and the other side's, where it has any: a Unix socket has not.
    #[must_use]
    pub fn tcp_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        match self {
            Self::Tcp(stream) => Some((stream.local_addr().ok()?, stream.peer_addr().ok()?)),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// Has the kernel move up to so many bytes from here into a pipe, without waiting; 0 is the end.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_splice_into(&self, pipe: &OwnedFd, count: usize) -> io::Result<usize> {
        with!(self, stream => stream.try_io(Interest::READABLE, || {
            splice(stream, None, pipe, None, count, SPLICE_FLAGS).map_err(Into::into)
        }))
    }

    /// Has the kernel move up to so many bytes from a pipe to here, without waiting.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_splice_from(&self, pipe: &OwnedFd, count: usize) -> io::Result<usize> {
        with!(self, stream => stream.try_io(Interest::WRITABLE, || {
            splice(pipe, None, stream, None, count, SPLICE_FLAGS).map_err(Into::into)
        }))
    }

    /// Has small writes sent at once: Nagle's algorithm would hold the second of two back for 40 ms.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }

    /// Has the operating system notice when the other end has gone without a word: its machine, or the way to it. Sockets
    /// within this machine know anyway.
    pub(crate) fn notice_loss(&self, limits: Limits) {
        let stream = match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(_) => return,
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
        match self {
            Self::Tcp(stream) => {
                // Where the system does not do it, a stream that broke looks like one that ended, which is all.
                let _ = socket2::SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO));
            }
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }

    /// Says that nothing more is written, and goes on reading: tokio's own shutdown wants the stream for itself.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish_writing(&self) -> io::Result<()> {
        with!(self, stream => socket2::SockRef::from(stream).shutdown(Shutdown::Write))
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
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
        assert!(timeout(ASKED_EVERY * 2, client.lost()).await.is_err());
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
        assert!(timeout(ASKED_EVERY, client.lost()).await.is_err());
        assert_eq!(ahead(&client).await, b"ahead");
        other.set_zero_linger().unwrap();
        drop(other);
        timeout(LONG, client.lost()).await.unwrap();
    }
}
