//! Moves data from socket to socket in the kernel, with splice(2) through a pipe.

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

/// Most pipes at one time, for all connections. Without a free pipe, data is copied instead.
const MAX_PIPES: usize = 64;
/// Most unused pipes that are kept, in addition to one per thread.
const MAX_IDLE_PIPES: usize = 16;
/// The capacity to ask for. The system may grant less (`pipe-user-pages-soft`).
const PIPE_CAPACITY_BYTES: usize = 1024 * 1024;

/// The number of pipes, used or not.
static PIPE_COUNT: AtomicUsize = AtomicUsize::new(0);
/// Unused pipes.
static IDLE_PIPES: Mutex<Vec<PipeEnds>> = Mutex::new(Vec::new());

thread_local! {
    /// One unused pipe per thread, which needs no lock. Usually the same pipe is used again.
    static THREAD_PIPE: Cell<Option<PipeEnds>> = const { Cell::new(None) };
}

/// Both ends of a pipe.
struct PipeEnds {
    read: OwnedFd,
    write: OwnedFd,
    capacity: usize,
}

impl PipeEnds {
    fn new() -> Option<Self> {
        // Count first, so that two threads cannot exceed the limit together.
        if PIPE_COUNT.fetch_add(1, Relaxed) >= MAX_PIPES {
            PIPE_COUNT.fetch_sub(1, Relaxed);
            return None;
        }
        let ends = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).and_then(|(read, write)| {
            let capacity =
                fcntl_setpipe_size(&write, PIPE_CAPACITY_BYTES).or_else(|_| fcntl_getpipe_size(&write))?;
            Ok((read, write, capacity))
        });
        match ends {
            Ok((read, write, capacity)) => Some(Self { read, write, capacity }),
            Err(_) => {
                PIPE_COUNT.fetch_sub(1, Relaxed);
                None
            }
        }
    }
}

impl Drop for PipeEnds {
    fn drop(&mut self) {
        PIPE_COUNT.fetch_sub(1, Relaxed);
    }
}

/// A pipe that a bulk transfer uses.
pub(super) struct Pipe {
    /// `None` once it is given back.
    ends: Option<PipeEnds>,
    /// Bytes in the pipe.
    filled: usize,
}

/// Why splicing stopped.
pub(super) enum Spliced {
    /// The sender has finished.
    Finished,
    /// The sender has no data for now. The pipe is empty.
    Idle {
        /// Bytes that were moved.
        moved: u64,
    },
}

impl Pipe {
    /// Takes an empty pipe; `None` if all are in use.
    pub(super) fn take() -> Option<Self> {
        let kept = || IDLE_PIPES.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let ends = THREAD_PIPE.take().or_else(kept).or_else(PipeEnds::new)?;
        Some(Self { ends: Some(ends), filled: 0 })
    }

    /// Moves data until the sender has none for now.
    ///
    /// After as much as the pipe holds, other tasks have their turn, and the runtime looks for new events. A task that moves data as
    /// long as its budget lasts, 128 times, can keep a worker for a tenth of a second.
    pub(super) async fn move_all(
        mut self,
        from: &Socket,
        to: &Socket,
        direction: &Direction<'_>,
    ) -> Result<Spliced, Broken> {
        let Self { ends: Some(ends), filled } = &mut self else { return Ok(Spliced::Idle { moved: 0 }) };
        let (mut moved, mut in_turn) = (0, 0);
        loop {
            match from.try_splice_into(&ends.write, ends.capacity) {
                Ok(0) => return Ok(Spliced::Finished),
                Ok(count) => {
                    *filled = count;
                    in_turn += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Spliced::Idle { moved });
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
                        to.writable().await.map_err(Broken::Sink)?;
                    }
                    Err(error) => return Err(Broken::Sink(error)),
                }
            }
            if in_turn >= ends.capacity {
                in_turn = 0;
                tokio::task::yield_now().await;
            }
            tokio::task::consume_budget().await;
        }
    }
}

/// Gives an empty pipe back. A pipe that still holds data is closed.
impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.filled == 0) else { return };
        let Some(ends) = THREAD_PIPE.replace(Some(ends)) else { return };
        let mut idle = IDLE_PIPES.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE_PIPES {
            idle.push(ends);
        }
    }
}

/// Pipes are shared by the whole process: tests that use them take turns.
#[cfg(test)]
pub(super) static TURN: Mutex<()> = Mutex::new(());

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use prometheus_client::metrics::counter::Counter;
    use tokio::net::UnixStream;

    use super::*;

    #[test]
    fn a_bulk_transfer_leaves_others_their_turn() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let ((sender, from), (to, receiver)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            sender.writable().await.unwrap();
            let mut sent = 0;
            while let Ok(count) = sender.try_write(&[0; 4096]) {
                sent += count;
            }
            from.readable().await.unwrap();
            to.writable().await.unwrap();
            let (from, to, total) = (Socket::from(from), Socket::from(to), Counter::default());
            let direction = Direction::new(&total);
            let mut pipe = Pipe::take().unwrap();
            pipe.ends.as_mut().unwrap().capacity = 4096;
            let mut moving = pin!(pipe.move_all(&from, &to, &direction));
            let polled = poll_fn(|context| Poll::Ready(moving.as_mut().poll(context))).await;
            assert!(polled.is_pending());
            receiver.readable().await.unwrap();
            let moved = receiver.try_read(&mut vec![0; sent]).unwrap();
            assert!(sent > 3 * moved, "{moved} of {sent} bytes at once");
        });
    }

    #[test]
    fn pipes_are_limited_and_reused_unless_they_hold_data() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = std::iter::from_fn(Pipe::take).collect();
        assert!(taken.len() <= MAX_PIPES && Pipe::take().is_none(), "{}", taken.len());
        let mut dirty = taken.pop().unwrap();
        dirty.filled = 1;
        drop(dirty);
        assert_eq!(PIPE_COUNT.load(Relaxed), MAX_PIPES - 1, "it was closed");
        drop(taken);
        assert_eq!(
            PIPE_COUNT.load(Relaxed),
            MAX_IDLE_PIPES + 1,
            "those that are kept, and one of this thread"
        );
        assert!(Pipe::take().is_some());
        assert_eq!(PIPE_COUNT.load(Relaxed), MAX_IDLE_PIPES + 1, "one of those");
    }
}
