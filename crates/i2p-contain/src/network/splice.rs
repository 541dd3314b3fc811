//! Relays between two sockets in the kernel, with splice(2). An idle relay has neither pipe nor buffer.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::OnceLock,
};

use rustix::pipe::{SpliceFlags, splice};
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

use super::{
    ending::{Broken, Ending},
    pipe::Pipe,
};

/// Move pages where possible, and never wait.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
/// How much is moved at a time without a pipe.
const COPY_BYTES: usize = 64 * 1024;
/// How much is discarded at a time, on the stack.
const DISCARD_BYTES: usize = 16 * 1024;

/// A socket that the kernel can relay.
#[derive(Debug, Clone, Copy)]
pub(super) enum Socket<'a> {
    /// A TCP connection.
    Tcp(&'a TcpStream),
    /// A Unix socket.
    Unix(&'a UnixStream),
}

impl Socket<'_> {
    async fn ready(self, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
        }?;
        Ok(())
    }

    /// Tries something, or returns `None` if the socket is not ready for it.
    fn attempt(
        self,
        interest: Interest,
        operation: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let result = match self {
            Self::Tcp(stream) => stream.try_io(interest, || Ok(operation(stream.as_fd())?)),
            Self::Unix(stream) => stream.try_io(interest, || Ok(operation(stream.as_fd())?)),
        };
        match result {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Self::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
        }
    }
}

/// Relays both ways until both ends have finished.
pub(super) async fn relay(one: Socket<'_>, other: Socket<'_>) -> io::Result<()> {
    let (out, back) = (OnceLock::new(), OnceLock::new());
    tokio::try_join!(one_way(one, other, &out, &back), one_way(other, one, &back, &out)).map(|_| ())
}

/// Relays one way. The endings are that of this direction and that of the opposite one.
async fn one_way(
    from: Socket<'_>,
    to: Socket<'_>,
    own: &OnceLock<Ending>,
    opposite: &OnceLock<Ending>,
) -> io::Result<()> {
    let moved = match move_all(from, to).await {
        Ok(()) => {
            opposite.get().map_or(Ok(()), |ending| ending.believe_end())?;
            to.finish().map_err(Broken::Sink)
        }
        broken => broken,
    };
    let ending = match moved {
        Ok(()) => Ending::Finished,
        Err(Broken::Source(error)) => return Err(error),
        Err(Broken::Sink(error)) => error.into(),
    };
    if let Some(opposite) = opposite.get() {
        return opposite.result().and(ending.result());
    }
    let _ = own.set(ending);
    if ending == Ending::Finished { Ok(()) } else { Box::pin(discard(from)).await }
}

/// Discards data until the sender has finished.
async fn discard(from: Socket<'_>) -> io::Result<()> {
    loop {
        from.ready(Interest::READABLE).await?;
        let discarded =
            from.attempt(Interest::READABLE, |socket| rustix::io::read(socket, &mut [0; DISCARD_BYTES][..]));
        if discarded? == Some(0) {
            return Ok(());
        }
        tokio::task::consume_budget().await;
    }
}

/// Moves data until the sender has finished.
async fn move_all(from: Socket<'_>, to: Socket<'_>) -> Result<(), Broken> {
    loop {
        from.ready(Interest::READABLE).await.map_err(Broken::Source)?;
        // Boxed, so that an idle relay takes no space for it.
        if Box::pin(move_waiting(from, to)).await? {
            return Ok(());
        }
    }
}

/// Moves what there is for now. Returns whether the sender has finished.
async fn move_waiting(from: Socket<'_>, to: Socket<'_>) -> Result<bool, Broken> {
    let Some(pipe) = Pipe::take() else { return through_buffer(from, to).await };
    let has_finished = through_pipe(&pipe, from, to).await?;
    pipe.give_back();
    Ok(has_finished)
}

/// Moves data until there is none for now. Returns whether the sender has finished. The pipe is empty then.
///
/// After as much as the pipe holds, others have their turn, and the runtime looks for new events. A task that moves data as long as its
/// budget lasts, 128 times, can keep a worker for a tenth of a second; with a few of them, dials take seconds.
async fn through_pipe(pipe: &Pipe, from: Socket<'_>, to: Socket<'_>) -> Result<bool, Broken> {
    let mut moved = 0;
    let into_pipe = |socket: BorrowedFd<'_>| splice(socket, None, &pipe.write, None, pipe.capacity, FLAGS);
    while let Some(mut waiting) = from.attempt(Interest::READABLE, into_pipe).map_err(Broken::Source)? {
        if waiting == 0 {
            return Ok(true);
        }
        moved += waiting;
        while waiting > 0 {
            waiting -= out_of_pipe(&pipe.read, waiting, to).await.map_err(Broken::Sink)?;
        }
        if moved >= pipe.capacity {
            moved = 0;
            tokio::task::yield_now().await;
        }
        tokio::task::consume_budget().await;
    }
    Ok(false)
}

async fn out_of_pipe(pipe: &OwnedFd, waiting: usize, to: Socket<'_>) -> io::Result<usize> {
    loop {
        let out = |socket: BorrowedFd<'_>| splice(pipe, None, socket, None, waiting, FLAGS);
        match to.attempt(Interest::WRITABLE, out)? {
            Some(count) => return Ok(count),
            None => to.ready(Interest::WRITABLE).await?,
        }
    }
}

/// The same without a pipe. Others have their turn after each full buffer.
async fn through_buffer(from: Socket<'_>, to: Socket<'_>) -> Result<bool, Broken> {
    let mut buffer = vec![0; COPY_BYTES];
    while let Some(count) = from
        .attempt(Interest::READABLE, |socket| rustix::io::read(socket, &mut buffer[..]))
        .map_err(Broken::Source)?
    {
        let data = buffer.get(..count).unwrap_or_default();
        if data.is_empty() {
            return Ok(true);
        }
        write_all(data, to).await.map_err(Broken::Sink)?;
        if count == COPY_BYTES {
            tokio::task::yield_now().await;
        }
        tokio::task::consume_budget().await;
    }
    Ok(false)
}

async fn write_all(mut data: &[u8], to: Socket<'_>) -> io::Result<()> {
    while !data.is_empty() {
        match to.attempt(Interest::WRITABLE, |socket| rustix::io::write(socket, data))? {
            Some(count) => data = data.get(count..).unwrap_or_default(),
            None => to.ready(Interest::WRITABLE).await?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::{super::turns::polled_once, *};

    #[tokio::test]
    async fn a_bulk_transfer_leaves_others_their_turn() {
        let (near, far) = UnixStream::pair().unwrap();
        let (other_near, other_far) = UnixStream::pair().unwrap();
        near.writable().await.unwrap();
        let mut sent = 0;
        while let Ok(count) = near.try_write(&[0; 4096]) {
            sent += count;
        }
        let mut pipe = Pipe::take().unwrap();
        pipe.capacity = 4096;
        far.readable().await.unwrap();
        other_near.writable().await.unwrap();
        let (from, to) = (Socket::Unix(&far), Socket::Unix(&other_near));
        assert!(polled_once(pin!(through_pipe(&pipe, from, to))).await.is_pending());
        other_far.readable().await.unwrap();
        let moved = other_far.try_read(&mut vec![0; sent]).unwrap();
        assert!(sent > 3 * moved, "{moved} of {sent} bytes at once");
        assert!(sent > moved + COPY_BYTES, "{sent}");
        assert!(polled_once(pin!(through_buffer(from, to))).await.is_pending());
        assert_eq!(other_far.try_read(&mut vec![0; sent]).unwrap(), COPY_BYTES, "without a pipe");
    }

    #[tokio::test]
    async fn discarding_leaves_others_their_turn() {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let near = UnixStream::from_std(near.into()).unwrap();
        // Each message takes a read, and a task has 128 of them at a time.
        let sent = (0..).take_while(|_| rustix::io::write(&far, &[0]).is_ok()).count();
        assert!(sent > 150, "{sent}");
        near.readable().await.unwrap();
        assert!(polled_once(pin!(discard(Socket::Unix(&near)))).await.is_pending());
        assert!(rustix::io::read(&near, &mut [0; 1]).is_ok(), "all was discarded at once");
    }
}
