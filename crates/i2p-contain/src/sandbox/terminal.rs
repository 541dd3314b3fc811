//! The user's terminal, while a contained program has one of its own: keys and output are relayed between the two, and
//! the size is kept the same.

use std::{
    fs::File,
    io::{self, IsTerminal, stderr, stdin, stdout},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread::{self, JoinHandle},
};

use rustix::{
    process::getpgrp,
    termios::{
        LocalModes, OptionalActions, OutputModes, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
        tcsetwinsize,
    },
};

use super::streams::pump;

/// The relay between the user's terminal and that of the program. Dropping it gives the user's terminal its modes back.
pub(super) struct TerminalRelay {
    user: File,
    program: File,
    /// What the modes of the user's terminal were, and what they are meanwhile, if it is read.
    modes: Option<(Termios, Termios)>,
}

impl TerminalRelay {
    /// Starts to relay to the first standard stream that is a terminal, and from standard input if it is one. Returns the
    /// thread that ends once all output of the program, which has ended then, is on the user's terminal.
    pub(super) fn start(program: OwnedFd) -> io::Result<(Self, JoinHandle<()>)> {
        let user = user_terminal()?;
        let mut relay = Self { user: File::from(user), program: File::from(program), modes: None };
        relay.resize();
        let modes = tcgetattr(&relay.user)?;
        if stdin().is_terminal() && tcgetpgrp(&relay.user).is_ok_and(|group| group == getpgrp()) {
            tcsetattr(&relay.program, OptionalActions::Now, &modes)?;
            let mut raw = modes.clone();
            raw.make_raw();
            relay.modes = Some((modes, raw));
            relay.take_over();
            let (keys, program) = (stdin().as_fd().try_clone_to_owned()?, relay.program.try_clone()?);
            // It ends with this process: nobody waits for keys that are not needed.
            thread::spawn(move || pump(keys, program.into()));
        } else {
            // The user's terminal translates the output, and echoes nothing that the program does not read.
            let mut plain = modes;
            plain.output_modes -= OutputModes::OPOST;
            plain.local_modes -= LocalModes::ECHO;
            tcsetattr(&relay.program, OptionalActions::Now, &plain)?;
        }
        let (from, to) = (relay.program.try_clone()?, relay.user.try_clone()?);
        Ok((relay, thread::spawn(move || pump(from.into(), to.into()))))
    }

    /// Gives the program's terminal the size of the user's. The kernel tells the program.
    pub(super) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(&self.user) {
            let _ = tcsetwinsize(&self.program, size);
        }
    }

    /// Lets every key of the user's terminal through, unless it is not read.
    pub(super) fn take_over(&self) {
        if let Some((_, raw)) = &self.modes {
            let _ = tcsetattr(&self.user, OptionalActions::Now, raw);
        }
    }

    /// Gives the user's terminal its modes back.
    pub(super) fn give_back(&self) {
        if let Some((former, _)) = &self.modes {
            let _ = tcsetattr(&self.user, OptionalActions::Drain, former);
        }
    }
}

impl Drop for TerminalRelay {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn user_terminal() -> io::Result<OwnedFd> {
    let (input, output, errors) = (stdin(), stdout(), stderr());
    let streams: [BorrowedFd<'_>; 3] = [output.as_fd(), errors.as_fd(), input.as_fd()];
    let terminal = streams.into_iter().find(IsTerminal::is_terminal);
    terminal.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.try_clone_to_owned()
}
