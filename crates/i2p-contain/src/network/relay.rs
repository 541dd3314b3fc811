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
    outside::OutsideStream,
    splice::{self, Socket},
};

/// How much is moved at a time.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    /// The buffer of all relays of this thread. Between two polls, no relay has data in it, so an idle relay has no buffer.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// Relays both ways until both ends have finished. If either fails, the other one is reset.
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
        let out = outward.poll(context, program, far)?;
        let back = inward.poll(context, far, program)?;
        if out.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
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
}

impl Half {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Reading => {
                    *self = BUFFER.with_borrow_mut(|buffer| move_some(context, from, to, buffer))?;
                    if matches!(self, Self::Reading) {
                        // Data of a stream with a buffer of its own does not wait for more.
                        let _ = Pin::new(&mut *to).poll_flush(context)?;
                        return Poll::Pending;
                    }
                }
                Self::Writing { rest, written } => {
                    while let Some(data) = rest.get(*written..).filter(|data| !data.is_empty()) {
                        *written += write_some(ready!(Pin::new(&mut *to).poll_write(context, data))?)?;
                    }
                    *self = Self::Reading;
                }
                Self::Finishing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    *self = Self::Finished;
                }
                Self::Finished => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Moves data until one side is not ready. `Reading` means that the sender has none for now.
fn move_some(
    context: &mut Context<'_>,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    buffer: &mut [u8],
) -> io::Result<Half> {
    loop {
        let mut unread = ReadBuf::new(buffer);
        if Pin::new(&mut *from).poll_read(context, &mut unread)?.is_pending() {
            return Ok(Half::Reading);
        }
        let mut data = unread.filled();
        if data.is_empty() {
            return Ok(Half::Finishing);
        }
        while !data.is_empty() {
            match Pin::new(&mut *to).poll_write(context, data)? {
                Poll::Ready(count) => data = data.get(write_some(count)?..).unwrap_or_default(),
                Poll::Pending => return Ok(Half::Writing { rest: data.to_vec(), written: 0 }),
            }
        }
    }
}

fn write_some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}
