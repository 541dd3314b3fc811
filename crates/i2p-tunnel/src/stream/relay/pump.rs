//! One direction of a relay.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

#[cfg(target_os = "linux")]
use super::splice::{Pipe, Spliced};
use super::{
    direction::{Broken, Direction},
    staged::StagedSide,
};
use crate::stream::socket::Socket;

/// Bytes per read. The buffer is on the thread's stack while data moves; an idle connection has none.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;

/// After this many full chunks in a row, the sender probably has more, and the data is spliced.
#[cfg(target_os = "linux")]
const FULL_CHUNKS_BEFORE_SPLICE: u32 = 3;

/// Waits until data is written that the receiver did not accept at once, or until a stage lets go.
type PendingWrite<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;

/// The result of moving one chunk.
struct MovedChunk {
    /// Bytes read.
    read: usize,
    /// Data that the receiver did not accept yet.
    backlog: Vec<u8>,
}

/// Moves data in one direction until the sender has finished. `first` is sent first. All data goes through the stage, if there is
/// one, until it lets go.
///
/// This is no `async fn`: those store their arguments twice.
pub(super) fn pump<'a>(
    from: &'a Socket,
    to: &'a Socket,
    first: Vec<u8>,
    direction: &'a Direction<'_>,
    stage: Option<StagedSide>,
) -> impl Future<Output = Result<(), Broken>> + use<'a> {
    // Boxed, so that an idle stream takes no space for it.
    let mut waiting = match stage {
        Some(stage) => Some(Box::pin(stage.pump(from, to, first, direction)) as PendingWrite<'a>),
        None if first.is_empty() => None,
        None => Some(write_all(to, first, direction)),
    };
    #[cfg(target_os = "linux")]
    let mut full = 0;
    async move {
        loop {
            if let Some(waiting) = waiting.take() {
                waiting.await?;
            }
            from.readable().await.map_err(Broken::Source)?;
            #[cfg(target_os = "linux")]
            if full >= FULL_CHUNKS_BEFORE_SPLICE
                && from.can_be_spliced()
                && to.can_be_spliced()
                && let Some(pipe) = Pipe::take()
            {
                match Box::pin(pipe.move_all(from, to, direction)).await? {
                    Spliced::Finished => return Ok(()),
                    // Keep splicing unless little data came this time.
                    Spliced::Idle { moved } if moved >= CHUNK_BYTES as u64 => {}
                    Spliced::Idle { .. } => full = 0,
                }
                continue;
            }
            match move_chunk(from, to, direction) {
                Ok(MovedChunk { read: 0, .. }) => return Ok(()),
                Ok(MovedChunk { read, backlog }) => {
                    waiting = (!backlog.is_empty()).then(|| write_all(to, backlog, direction));
                    #[cfg(target_os = "linux")]
                    {
                        full = if read == CHUNK_BYTES { full + 1 } else { 0 };
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
fn move_chunk(from: &Socket, to: &Socket, direction: &Direction<'_>) -> Result<MovedChunk, Broken> {
    let mut chunk = [0_u8; CHUNK_BYTES];
    let count = from.try_read(&mut chunk).map_err(Broken::Source)?;
    let read = chunk.get(..count).unwrap_or_default();
    let written = match to.try_write(read) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(Broken::Sink(error)),
    };
    direction.add(written);
    Ok(MovedChunk { read: count, backlog: read.get(written..).unwrap_or_default().to_vec() })
}

/// Writes all of the data and flushes it.
pub(super) fn write_all<'a>(
    to: &'a Socket,
    bytes: Vec<u8>,
    direction: &'a Direction<'_>,
) -> PendingWrite<'a> {
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

/// Reads once and discards the data, without waiting.
fn discard_once(from: &Socket) -> io::Result<usize> {
    from.try_read(&mut [0; CHUNK_BYTES])
}

/// Discards data until the sender has finished.
pub(crate) async fn discard(from: &Socket) -> io::Result<()> {
    discard_counted(from, &AtomicU64::new(0)).await
}

/// Like [`discard`], and counts the bytes as activity.
pub(super) async fn discard_counted(from: &Socket, discarded: &AtomicU64) -> io::Result<()> {
    loop {
        from.readable().await?;
        match discard_once(from) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                discarded.fetch_add(count as u64, Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
