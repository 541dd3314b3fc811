//! Moving bytes from socket to socket within the kernel: splice(2), by way of a pipe.

use std::{
    cell::Cell,
    io,
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

use super::direction::{Broken, Direction};
use crate::stream::socket::Socket;

/// Pipes at one time, of all connections. Who finds none moves bytes through our memory.
const MAX_PIPES: usize = 64;
/// Pipes that are kept for the next time, beside one of each thread.
const MAX_IDLE: usize = 16;
/// How much a pipe is to hold. Some users may have less (pipe-user-pages-soft), and then it is what they get.
const CAPACITY: usize = 1024 * 1024;

/// Pipes that there are, in use or not.
static PIPES: AtomicUsize = AtomicUsize::new(0);
/// Those that are not in use.
static IDLE: Mutex<Vec<Ends>> = Mutex::new(Vec::new());

thread_local! {
    /// One that is not in use: mostly it goes back and forth on one thread, and nobody waits for anybody.
    static NEXT: Cell<Option<Ends>> = const { Cell::new(None) };
}

/// Both ends of a pipe.
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    capacity: usize,
}

impl Ends {
    fn new() -> Option<Self> {
        // Counted first: two at once are not to be one too many.
        if PIPES.fetch_add(1, Relaxed) >= MAX_PIPES {
            PIPES.fetch_sub(1, Relaxed);
            return None;
        }
        let ends = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).and_then(|(read, write)| {
            let capacity = fcntl_setpipe_size(&write, CAPACITY).or_else(|_| fcntl_getpipe_size(&write))?;
            Ok((read, write, capacity))
        });
        match ends {
            Ok((read, write, capacity)) => Some(Self { read, write, capacity }),
            Err(_) => {
                PIPES.fetch_sub(1, Relaxed);
                None
            }
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Relaxed);
    }
}

/// A pipe for as long as a sender has much to say.
pub(super) struct Pipe {
    /// Taken when it goes back.
    ends: Option<Ends>,
    /// Bytes in it.
    filled: usize,
}

/// Why a pipe moves nothing any more.
pub(super) enum Spliced {
    /// The sender has finished.
    Finished,
    /// The sender has nothing to say for now. The pipe is empty.
    Quiet {
        /// Bytes that were moved.
        moved: u64,
    },
}

impl Pipe {
    /// An empty pipe, if there may be one more.
    pub(super) fn take() -> Option<Self> {
        let kept = || IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let ends = NEXT.take().or_else(kept).or_else(Ends::new)?;
        Some(Self { ends: Some(ends), filled: 0 })
    }

    /// Moves what the sender has to say, until it has nothing for now.
    pub(super) async fn move_all(
        mut self,
        from: &Socket,
        to: &Socket,
        direction: &Direction<'_>,
    ) -> Result<Spliced, Broken> {
        let Self { ends: Some(ends), filled } = &mut self else { return Ok(Spliced::Quiet { moved: 0 }) };
        let mut moved = 0;
        loop {
            match from.try_splice_into(&ends.write, ends.capacity) {
                Ok(0) => return Ok(Spliced::Finished),
                Ok(count) => *filled = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Spliced::Quiet { moved });
                }
                Err(error) => return Err(Broken::Source(error)),
            }
            while *filled > 0 {
                match to.try_splice_from(&ends.read, *filled) {
                    Ok(count) => {
                        *filled -= count;
                        moved += count as u64;
                        direction.add(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        to.can_take_more().await.map_err(Broken::Sink)?;
                    }
                    Err(error) => return Err(Broken::Sink(error)),
                }
            }
            // A sender that never pauses is not to keep its thread from everybody else.
            tokio::task::consume_budget().await;
        }
    }
}

/// Gives an empty pipe back; one with somebody's bytes in it is closed.
impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.filled == 0) else { return };
        let Some(ends) = NEXT.replace(Some(ends)) else { return };
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(ends);
        }
    }
}

/// The pipes are those of the whole process: tests that use them take turns.
#[cfg(test)]
pub(super) static TURN: Mutex<()> = Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_few_and_used_again_unless_something_is_in_them() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = std::iter::from_fn(Pipe::take).collect();
        assert!(taken.len() <= MAX_PIPES && Pipe::take().is_none(), "{}", taken.len());
        let mut dirty = taken.pop().unwrap();
        dirty.filled = 1;
        drop(dirty);
        assert_eq!(PIPES.load(Relaxed), MAX_PIPES - 1, "it was closed");
        drop(taken);
        assert_eq!(PIPES.load(Relaxed), MAX_IDLE + 1, "those that are kept, and one of this thread");
        assert!(Pipe::take().is_some());
        assert_eq!(PIPES.load(Relaxed), MAX_IDLE + 1, "one of those");
    }
}
