//! Relays between a program and the far end.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    ending::{Broken, Ending},
    outside::OutsideStream,
    splice::{self, Socket},
};

/// How much is moved at a time.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    /// The buffer of all relays of this thread. Between two polls, no relay has data in it, so an idle relay has no buffer.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// Relays both ways until both ends have finished. If either fails, the other one is reset, once it has received what the first has
/// sent.
pub(super) async fn relay<S: OutsideStream>(mut program: TcpStream, mut far: S) {
    let result = match far.socket() {
        Some(socket) => splice::relay(Socket::Tcp(&program), socket).await,
        None => copy(&mut program, &mut far).await,
    };
    if result.is_err() {
        let _ = program.set_zero_linger();
        far.abort();
    }
}

/// Relays a stream that is not just a socket.
async fn copy(program: &mut TcpStream, far: &mut impl OutsideStream) -> io::Result<()> {
    let (mut outward, mut inward) = (Half::Reading, Half::Reading);
    let both = poll_fn(|context| {
        outward.poll(context, program, far, inward.ending())?;
        inward.poll(context, far, program, outward.ending())?;
        match (outward.ending(), inward.ending()) {
            (Some(out), Some(back)) => Poll::Ready(out.result().and(back.result())),
            _ => Poll::Pending,
        }
    });
    both.await
}

/// One direction.
enum Half {
    /// Waits for data.
    Reading,
    /// Has data that the receiver did not take yet.
    Writing { rest: Vec<u8>, written: usize },
    /// The sender has finished, and the receiver is about to be told.
    Finishing,
    /// The receiver was told.
    Finished,
    /// The receiver accepts no more. What the sender still sends is discarded.
    Discarding(io::ErrorKind),
    /// Likewise, and the sender has finished.
    Discarded(io::ErrorKind),
}

impl Half {
    fn ending(&self) -> Option<Ending> {
        match self {
            Self::Reading | Self::Writing { .. } | Self::Finishing => None,
            Self::Finished => Some(Ending::Finished),
            Self::Discarding(kind) | Self::Discarded(kind) => Some(Ending::Broken(*kind)),
        }
    }

    /// Moves on as far as possible without waiting. `opposite` is the ending of the other direction.
    ///
    /// # Errors
    /// That of the sender. If the receiver fails, the half becomes `Discarding`.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        opposite: Option<Ending>,
    ) -> io::Result<()> {
        loop {
            match self.step(context, from, to) {
                Poll::Ready(Ok(Self::Finishing)) => {
                    opposite.map_or(Ok(()), Ending::believe_end)?;
                    *self = Self::Finishing;
                }
                Poll::Ready(Ok(next)) => *self = next,
                Poll::Ready(Err(Broken::Source(error))) => return Err(error),
                Poll::Ready(Err(Broken::Sink(error))) => *self = Self::Discarding(error.kind()),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// What follows this state. It waits, or has ended, if that is pending.
    fn step(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<Self, Broken>> {
        match self {
            Self::Reading => {
                let next = BUFFER.with_borrow_mut(|buffer| move_some(context, from, to, buffer))?;
                if matches!(next, Self::Reading) {
                    // Data of a stream with a buffer of its own does not wait for more.
                    let _ = Pin::new(to).poll_flush(context).map_err(Broken::Sink)?;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(next))
            }
            Self::Writing { rest, written } => {
                while let Some(data) = rest.get(*written..).filter(|data| !data.is_empty()) {
                    let wrote = ready!(Pin::new(&mut *to).poll_write(context, data));
                    *written += wrote.and_then(write_some).map_err(Broken::Sink)?;
                }
                Poll::Ready(Ok(Self::Reading))
            }
            Self::Finishing => {
                ready!(Pin::new(to).poll_shutdown(context)).map_err(Broken::Sink)?;
                Poll::Ready(Ok(Self::Finished))
            }
            Self::Discarding(kind) => {
                ready!(BUFFER.with_borrow_mut(|buffer| discard(context, from, buffer)))
                    .map_err(Broken::Source)?;
                Poll::Ready(Ok(Self::Discarded(*kind)))
            }
            Self::Finished | Self::Discarded(_) => Poll::Pending,
        }
    }
}

/// Moves data until one side is not ready. `Reading` means that the sender has none for now.
fn move_some(
    context: &mut Context<'_>,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    buffer: &mut [u8],
) -> Result<Half, Broken> {
    loop {
        let mut unread = ReadBuf::new(buffer);
        if Pin::new(&mut *from).poll_read(context, &mut unread).map_err(Broken::Source)?.is_pending() {
            return Ok(Half::Reading);
        }
        let mut data = unread.filled();
        if data.is_empty() {
            return Ok(Half::Finishing);
        }
        while !data.is_empty() {
            match Pin::new(&mut *to).poll_write(context, data).map_err(Broken::Sink)? {
                Poll::Ready(count) => {
                    let written = write_some(count).map_err(Broken::Sink)?;
                    data = data.get(written..).unwrap_or_default();
                }
                Poll::Pending => return Ok(Half::Writing { rest: data.to_vec(), written: 0 }),
            }
        }
    }
}

/// Discards data until the sender has finished.
fn discard(
    context: &mut Context<'_>,
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut [u8],
) -> Poll<io::Result<()>> {
    loop {
        let mut unread = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *from).poll_read(context, &mut unread))?;
        if unread.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
    }
}

fn write_some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Interest, duplex},
        net::{TcpListener, UnixStream},
    };

    use super::*;

    impl OutsideStream for DuplexStream {
        fn abort(self) {}
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    /// What a program receives, that has sent more than the far end reads, and the failure after it.
    async fn receive(far: impl OutsideStream) -> (String, Option<io::ErrorKind>) {
        let (mut program, inside) = pair().await;
        program.write_all(b"more").await.unwrap();
        inside.readable().await.unwrap();
        let receiving = async {
            let mut answer = Vec::new();
            let end = program.read_to_end(&mut answer).await;
            (String::from_utf8(answer).unwrap(), end.err().map(|error| error.kind()))
        };
        tokio::join!(relay(inside, far), receiving).1
    }

    #[tokio::test]
    async fn an_early_answer_arrives_and_the_reset_after_it() {
        let (mut far, mut server) = pair().await;
        far.write_all(b"question").await.unwrap();
        server.readable().await.unwrap();
        server.write_all(b"answer").await.unwrap();
        // It has not read the question, so this resets the connection.
        drop(server);
        while !far.ready(Interest::READABLE).await.unwrap().is_read_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!(receive(far).await, ("answer".to_owned(), Some(io::ErrorKind::ConnectionReset)));
    }

    #[tokio::test]
    async fn an_early_answer_of_an_end_that_is_gone_arrives() {
        let (far, mut server) = UnixStream::pair().unwrap();
        server.write_all(b"answer").await.unwrap();
        drop(server);
        assert_eq!(receive(far).await, ("answer".to_owned(), None));

        let (far, mut server) = duplex(64);
        server.write_all(b"answer").await.unwrap();
        drop(server);
        assert_eq!(receive(far).await, ("answer".to_owned(), None));
    }
}
