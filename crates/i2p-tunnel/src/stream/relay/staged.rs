//! One direction of a relay, while a [`Stage`](crate::stream::Stage) looks at it.

use std::{io, sync::atomic::Ordering::Relaxed};

use super::{
    direction::{Broken, Direction},
    pump::{CHUNK_BYTES, write_all},
};
use crate::stream::{
    socket::Socket,
    stage::{SharedStage, Side},
};

/// A stage, and the side whose data it is given.
pub(super) struct StagedSide {
    pub(super) stage: SharedStage,
    pub(super) side: Side,
}

/// What the other side gets for some data.
struct Passed {
    output: Vec<u8>,
    /// Whether the stage ends the stream after that.
    verdict: io::Result<()>,
}

impl StagedSide {
    /// Moves data through the stage until the stage no longer looks at this side, or the sender has finished. `first` is sent first.
    /// At the end, nothing is held back, and the relay can go on from socket to socket.
    pub(super) async fn pump(
        self,
        from: &Socket,
        to: &Socket,
        first: Vec<u8>,
        direction: &Direction<'_>,
    ) -> Result<(), Broken> {
        self.forward(to, self.pass(&first), direction, first.len()).await?;
        drop(first);
        while self.stage.lock().looks_at(self.side) {
            from.readable().await.map_err(Broken::Source)?;
            match self.pass_chunk(from) {
                Ok((0, _)) => {
                    self.stage.lock().finished(self.side);
                    break;
                }
                Ok((read, passed)) => self.forward(to, passed, direction, read).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Broken::Source(error)),
            }
        }
        Ok(())
    }

    /// Reads once, without waiting. The buffer is on the stack, so that an idle stream has none.
    fn pass_chunk(&self, from: &Socket) -> io::Result<(usize, Passed)> {
        let mut chunk = [0; CHUNK_BYTES];
        let read = from.try_read(&mut chunk)?;
        Ok((read, self.pass(chunk.get(..read).unwrap_or_default())))
    }

    fn pass(&self, sent: &[u8]) -> Passed {
        let mut output = Vec::new();
        let verdict = match sent.is_empty() {
            true => Ok(()),
            false => self.stage.lock().pass(self.side, sent, &mut output),
        };
        Passed { output, verdict }
    }

    /// Sends what the other side gets. Bytes that it does not get count as activity of the stream, too.
    async fn forward(
        &self,
        to: &Socket,
        Passed { output, verdict }: Passed,
        direction: &Direction<'_>,
        read: usize,
    ) -> Result<(), Broken> {
        let removed = read.saturating_sub(output.len());
        direction.discarded.fetch_add(removed as u64, Relaxed);
        if !output.is_empty() {
            write_all(to, output, direction).await?;
        }
        verdict.map_err(Broken::Source)
    }
}
