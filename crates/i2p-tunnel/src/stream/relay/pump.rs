//! One way of a relay.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::direction::{Broken, Direction};
#[cfg(target_os = "linux")]
use super::splice::{Pipe, Spliced};
use crate::stream::socket::Socket;

/// Bytes moved at once. On the thread's stack while they move; a connection that is idle holds nothing.
const CHUNK: usize = 16 * 1024;

/// Chunks in a row that were full, from which on a sender is taken to have more: the kernel then moves its bytes without us.
#[cfg(target_os = "linux")]
const BULK: u32 = 3;

/// Bytes that wait for their receiver.
type Draining<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;

/// What moving a chunk came to.
struct Moved {
    /// Bytes read.
    read: usize,
    /// What the receiving side would not take yet.
    backlog: Vec<u8>,
}

/// Moves bytes one way until the sender has finished, `first` first.
///
/// No `async fn`, whose arguments are in its future twice.
pub(super) fn pump<'a>(
    from: &'a Socket,
    to: &'a Socket,
    first: Vec<u8>,
    direction: &'a Direction<'_>,
) -> impl Future<Output = Result<(), Broken>> + use<'a> {
    // What has to wait for the receiver is in a place of its own, which a stream that does nothing has not.
    let mut waiting = (!first.is_empty()).then(|| drain(to, first, direction));
    #[cfg(target_os = "linux")]
    let mut full = 0;
    async move {
        loop {
            if let Some(waiting) = waiting.take() {
                waiting.await?;
            }
            from.readable().await.map_err(Broken::Source)?;
            #[cfg(target_os = "linux")]
            if full >= BULK
                && from.can_be_spliced()
                && to.can_be_spliced()
                && let Some(pipe) = Pipe::take()
            {
                match Box::pin(pipe.move_all(from, to, direction)).await? {
                    Spliced::Finished => return Ok(()),
                    // Still bulk, unless little came this time.
                    Spliced::Quiet { moved } if moved >= CHUNK as u64 => {}
                    Spliced::Quiet { .. } => full = 0,
                }
                continue;
            }
            match move_chunk(from, to, direction) {
                Ok(Moved { read: 0, .. }) => return Ok(()),
                Ok(Moved { read, backlog }) => {
                    waiting = (!backlog.is_empty()).then(|| drain(to, backlog, direction));
                    #[cfg(target_os = "linux")]
                    {
                        full = if read == CHUNK { full + 1 } else { 0 };
                    }
                    #[cfg(not(target_os = "linux"))]
                    let _ = read;
                }
                Err(Broken::Source(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(broken) => return Err(broken),
            }
        }
    }
}

/// Reads once and writes once, without waiting.
fn move_chunk(from: &Socket, to: &Socket, direction: &Direction<'_>) -> Result<Moved, Broken> {
    let mut chunk = [0_u8; CHUNK];
    let count = from.try_read(&mut chunk).map_err(Broken::Source)?;
    let read = chunk.get(..count).unwrap_or_default();
    let written = match to.try_write(read) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(Broken::Sink(error)),
    };
    direction.add(written);
    Ok(Moved { read: count, backlog: read.get(written..).unwrap_or_default().to_vec() })
}

/// Waits until all of this is written.
fn drain<'a>(to: &'a Socket, bytes: Vec<u8>, direction: &'a Direction<'_>) -> Draining<'a> {
    let all = async move {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let written = to.write(rest).await?;
            direction.add(written);
            rest = rest.get(written..).unwrap_or_default();
        }
        to.flush().await
    };
    Box::pin(async { all.await.map_err(Broken::Sink) })
}

/// Reads once and throws it away, without waiting.
fn throw_away(from: &Socket) -> io::Result<usize> {
    from.try_read(&mut [0; CHUNK])
}

/// Reads and throws away until the sender has finished.
pub(crate) async fn discard(from: &Socket) -> io::Result<()> {
    discard_and_count(from, &AtomicU64::new(0)).await
}

/// The same, counted as a sign of life.
pub(super) async fn discard_and_count(from: &Socket, discarded: &AtomicU64) -> io::Result<()> {
    loop {
        from.readable().await?;
        match throw_away(from) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                discarded.fetch_add(count as u64, Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
