//! The standard streams of a contained program.
//!
//! A terminal becomes one of the sandbox's own, and everything else becomes a pipe, which is relayed here: a socket could
//! be connected elsewhere, a directory leads to its parents, and a file or a pipe could be opened again the other way,
//! to read what other programs write into it.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write, stderr, stdin, stdout},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread::{self, JoinHandle},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Gid, Uid, fchown},
    pipe::{PipeFlags, pipe_with},
};

use super::{init::Stream, plan::Plan, users::UNPRIVILEGED, wall::Wall};

const BUFFER_BYTES: usize = 64 * 1024;

/// What the streams of the program are, and what has to be relayed.
#[derive(Default)]
pub(super) struct Streams {
    /// For the second stage.
    pub(super) kinds: Vec<Stream>,
    /// Those that are given, in order.
    pub(super) given: Vec<OwnedFd>,
    /// The ends of pipes that stay here, with what they are relayed from or to.
    input: Option<(OwnedFd, OwnedFd)>,
    outputs: Vec<(OwnedFd, OwnedFd)>,
}

impl Streams {
    /// Decides about the standard streams of this process.
    pub(super) fn of_this_process(plan: &Plan) -> io::Result<Self> {
        let mut streams = Self::default();
        streams.add(plan, stdin().as_fd(), true)?;
        streams.add(plan, stdout().as_fd(), false)?;
        streams.add(plan, stderr().as_fd(), false)?;
        Ok(streams)
    }

    /// Gives the program empty input, and lets its output be read here.
    pub(super) fn captured(plan: &Plan) -> io::Result<(Self, File)> {
        let pipe = || open_pipe(plan);
        let ((input, _), (output, written), (errors, errors_written)) = (pipe()?, pipe()?, pipe()?);
        let own_errors = stderr().as_fd().try_clone_to_owned()?;
        let streams = Self {
            kinds: vec![Stream::Given; 3],
            given: vec![input, written, errors_written],
            input: None,
            outputs: vec![(errors, own_errors)],
        };
        Ok((streams, output.into()))
    }

    fn add(&mut self, plan: &Plan, stream: BorrowedFd<'_>, is_input: bool) -> io::Result<()> {
        if plan.has(Wall::Terminal) && stream.is_terminal() {
            self.kinds.push(Stream::OwnTerminal);
            return Ok(());
        }
        self.kinds.push(Stream::Given);
        let own = stream.try_clone_to_owned()?;
        if own.is_terminal() || !plan.has(Wall::Streams) {
            self.given.push(own);
            return Ok(());
        }
        let (reader, writer) = open_pipe(plan)?;
        if is_input {
            self.given.push(reader);
            self.input = Some((own, writer));
        } else {
            self.given.push(writer);
            self.outputs.push((reader, own));
        }
        Ok(())
    }

    /// Starts to relay, and closes the program's ends. Returns the threads that end once the program's output is written.
    pub(super) fn relay(self) -> Vec<JoinHandle<()>> {
        if let Some((from, to)) = self.input {
            // It ends with this process: nobody waits for input that is not needed.
            thread::spawn(move || pump(from, to));
        }
        self.outputs.into_iter().map(|(from, to)| thread::spawn(move || pump(from, to))).collect()
    }
}

/// Makes a pipe that the program can open by its path, such as `/dev/stdout`.
fn open_pipe(plan: &Plan) -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    if plan.is_root {
        fchown(&writer, Some(Uid::from_raw(UNPRIVILEGED)), Some(Gid::from_raw(UNPRIVILEGED)))?;
    }
    Ok((reader, writer))
}

/// Copies until either end is closed.
pub(super) fn pump(from: OwnedFd, to: OwnedFd) {
    let (mut from, mut to) = (File::from(from), File::from(to));
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match wait_for(&from, PollFlags::IN, |mut file| file.read(&mut buffer)) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let mut rest = buffer.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            match wait_for(&to, PollFlags::OUT, |mut file| file.write(rest)) {
                Ok(0) | Err(_) => return,
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            }
        }
    }
    let _ = (from.flush(), to.flush());
}

/// Does `operation`, also if the stream, which others have, too, does not block.
fn wait_for<T>(
    file: &File,
    ready: PollFlags,
    mut operation: impl FnMut(&File) -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match operation(file) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(file, ready)], None);
            }
            result => return result,
        }
    }
}
