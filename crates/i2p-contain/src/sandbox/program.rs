//! The third stage: becomes the program. It has nothing left to build but a session of its own.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, stderr, stdin, stdout},
    os::{fd::AsFd, unix::process::CommandExt},
    process::Command,
};

use nix::sys::signal::SigSet;
use rustix::process::{ioctl_tiocsctty, setsid};

use super::{plan::Plan, raw, request::Program, stage::THIS_PROGRAM, wall::Wall};

/// The exit codes of a shell for a program that is not there, and for one that cannot be run.
const NOT_FOUND: u8 = 127;
const CANNOT_RUN: u8 = 126;

/// Tells the stage what to do: whether to close descriptors and to make a session, then the program and its arguments.
pub(super) fn add_arguments(command: &mut Command, plan: &Plan) {
    let flag = |wall| if plan.has(wall) { "yes" } else { "no" };
    command.args([flag(Wall::Descriptors), flag(Wall::Terminal)]);
    match &plan.program {
        Program::Command { name, arguments } => command.arg(name).args(arguments),
        Program::Itself { arguments } => command.arg(THIS_PROGRAM).args(arguments),
    };
}

/// Runs the stage. Returns only if the program cannot be run.
pub(super) fn run(arguments: Vec<OsString>) -> u8 {
    let mut arguments = arguments.into_iter();
    let (Some(close), Some(session), Some(name)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return CANNOT_RUN;
    };
    let prepared = prepare(close == "yes", session == "yes");
    let error = prepared.err().unwrap_or_else(|| Command::new(&name).args(arguments).exec());
    eprintln!("cannot run {} inside the sandbox: {error}", name.display());
    if error.kind() == io::ErrorKind::NotFound {
        eprintln!("The program sees system programs and what you show it with --bind or --ro-bind.");
        return NOT_FOUND;
    }
    CANNOT_RUN
}

fn prepare(close: bool, session: bool) -> io::Result<()> {
    // The second stage blocks signals to wait for them, and this one has inherited that.
    SigSet::empty().thread_set_mask()?;
    if session {
        setsid()?;
        for stream in [stdin().as_fd(), stdout().as_fd(), stderr().as_fd()] {
            if stream.is_terminal() {
                ioctl_tiocsctty(stream)?;
                break;
            }
        }
    }
    if close { raw::close_from_on_exec(3) } else { Ok(()) }
}
