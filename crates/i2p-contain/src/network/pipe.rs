//! Pipes, through which the kernel moves data from socket to socket.

use std::{
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// The capacity to ask for. The kernel may grant less (`pipe-user-pages-soft`).
const CAPACITY_BYTES: usize = 1024 * 1024;
/// Most pipes that are kept while nobody uses them.
const MAX_UNUSED: usize = 16;

/// Empty pipes of the whole process.
static UNUSED: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

/// An empty pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    pub(super) capacity: usize,
}

impl Pipe {
    /// A pipe; `None` if the process has no descriptors left for it.
    pub(super) fn take() -> Option<Self> {
        let unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner).pop();
        unused.or_else(Self::new)
    }

    /// Keeps the pipe for others. It has to be empty.
    pub(super) fn give_back(self) {
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < MAX_UNUSED {
            unused.push(self);
        }
    }

    fn new() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let capacity =
            fcntl_setpipe_size(&write, CAPACITY_BYTES).or_else(|_| fcntl_getpipe_size(&write)).ok()?;
        Some(Self { read, write, capacity })
    }
}
