//! Pipes, through which the kernel moves data from socket to socket.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// The capacity to ask for. The kernel may grant less (`pipe-user-pages-soft`).
const CAPACITY_BYTES: usize = 1024 * 1024;
/// Most pipes that are kept while nobody uses them.
const MAX_UNUSED: usize = 16;
/// Most pipes. A relay has one while its receiver is slow, and further relays do without.
const MAX_PIPES: usize = 64;

/// The pipes of the whole process.
static PIPES: Pipes = Pipes::new(MAX_PIPES);

/// Some pipes.
struct Pipes {
    max: usize,
    /// How many exist.
    made: AtomicUsize,
    /// Empty ones.
    unused: Mutex<Vec<Pipe>>,
}

/// An empty pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    pub(super) capacity: usize,
    _counted: Counted,
}

/// Counts a pipe for as long as it exists.
#[derive(Debug)]
struct Counted(&'static AtomicUsize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Pipe {
    /// A pipe; `None` if there are too many, or the process has no descriptors left for it.
    pub(super) fn take() -> Option<Self> {
        PIPES.take()
    }

    /// Keeps the pipe for others. It has to be empty.
    pub(super) fn give_back(self) {
        PIPES.keep(self);
    }

    fn new(counted: Counted) -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let capacity =
            fcntl_setpipe_size(&write, CAPACITY_BYTES).or_else(|_| fcntl_getpipe_size(&write)).ok()?;
        Some(Self { read, write, capacity, _counted: counted })
    }
}

impl Pipes {
    const fn new(max: usize) -> Self {
        Self { max, made: AtomicUsize::new(0), unused: Mutex::new(Vec::new()) }
    }

    fn take(&'static self) -> Option<Pipe> {
        let unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner).pop();
        unused.or_else(|| Pipe::new(self.count()?))
    }

    fn keep(&self, pipe: Pipe) {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < MAX_UNUSED {
            unused.push(pipe);
        }
    }

    /// Counts one more, unless there are too many.
    fn count(&'static self) -> Option<Counted> {
        let more = |made| (made < self.max).then_some(made + 1);
        self.made.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Counted(&self.made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_pipes_than_allowed() {
        static TWO: Pipes = Pipes::new(2);
        let (one, other) = (TWO.take().unwrap(), TWO.take().unwrap());
        assert!(TWO.take().is_none());
        drop(one);
        let again = TWO.take().unwrap();
        assert!(TWO.take().is_none());
        // One that is kept counts, and is given out again.
        TWO.keep(other);
        assert_eq!(TWO.made.load(Relaxed), 2);
        let kept = TWO.take().unwrap();
        assert!(TWO.take().is_none());
        drop((again, kept));
        assert_eq!(TWO.made.load(Relaxed), 0);
    }
}
