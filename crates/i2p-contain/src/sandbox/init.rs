//! The second stage, process 1 inside: builds the walls that the first stage could not, starts the program, passes
//! signals on to it, and reaps what it leaves behind. When it ends, the kernel ends everything inside.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    process::Stdio,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::{
    process::{chdir, set_parent_process_death_signal},
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
};

use super::{
    control::Control,
    layout, mounts,
    plan::Plan,
    privileges, program, raw,
    refusal::{OrRefuse, Refusal},
    stage::{REFUSED, Stage},
    system_calls,
    wall::Wall,
};

/// What each standard stream of the program is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub(super) enum Stream {
    /// A descriptor that comes with the message.
    Given,
    /// The own terminal.
    OwnTerminal,
}

/// What the second stage is told before its work.
#[derive(serde::Deserialize, serde::Serialize)]
pub(super) struct InitOrders {
    /// What to do.
    pub(super) plan: Plan,
    /// Standard input, output and errors.
    pub(super) streams: [Stream; 3],
    /// The steps for which root has opened what they show. Its descriptors come after those of the streams.
    pub(super) opened: Vec<usize>,
}

/// Runs the stage. Returns the exit code of the program.
pub(super) fn run() -> io::Result<u8> {
    let control = Control::of_stage()?;
    end_with_parent()?;
    // A signal that arrives before there is a program waits for it. The third stage unblocks them for the program.
    let mut signals = SigSet::from_iter(PASSED_ON);
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let (orders, given) = control.receive::<InitOrders>()?;
    let (streams, terminal) = match build(&orders, given) {
        Ok(built) => built,
        Err(refusal) => {
            control.send(&Err::<(), _>(refusal), &[])?;
            return Ok(REFUSED);
        }
    };
    let borrowed: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
    control.send(&Ok::<(), Refusal>(()), &borrowed)?;
    control.receive::<()>()?;
    // The program must find no connection to the outside here.
    drop((control, terminal));
    start(&orders.plan, streams, &signals)
}

/// The first stage has one thread, so its end is that of the process.
fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Builds the walls. Returns the streams of the program, and the outside end of its terminal if it gets one.
fn build(orders: &InitOrders, mut given: Vec<OwnedFd>) -> Result<([OwnedFd; 3], Option<OwnedFd>), Refusal> {
    let plan = &orders.plan;
    if plan.has(Wall::Descriptors) {
        raw::close_from_on_exec(3).or_refuse(Wall::Descriptors, "closing inherited descriptors")?;
    }
    if plan.has(Wall::HostName) {
        rustix::system::sethostname(layout::HOST_NAME.as_bytes()).or_refuse(Wall::HostName, "setting it")?;
        let domain = layout::DOMAIN_NAME.as_bytes();
        rustix::system::setdomainname(domain).or_refuse(Wall::HostName, "setting the domain")?;
    }
    let of_streams = orders.streams.iter().filter(|stream| **stream != Stream::OwnTerminal).count();
    let opened = given.split_off(of_streams.min(given.len()));
    let opened: BTreeMap<_, _> = orders.opened.iter().copied().zip(opened).collect();
    mounts::enter_root(plan, &opened)?;
    drop(opened);
    let directory = &plan.working_directory;
    chdir(directory).or_refuse(Wall::Files, &format!("entering {}", directory.display()))?;
    let built = streams(orders, given)?;
    privileges::give_up(plan)?;
    // The end of the parent is forgotten when privileges change.
    end_with_parent().or_refuse(Wall::Processes, "ending with the process outside")?;
    system_calls::filter(plan)?;
    Ok(built)
}

fn streams(orders: &InitOrders, given: Vec<OwnedFd>) -> Result<([OwnedFd; 3], Option<OwnedFd>), Refusal> {
    let refuse = "making a pseudoterminal";
    let terminal = if orders.streams.contains(&Stream::OwnTerminal) {
        Some(open_terminal().or_refuse(Wall::Terminal, refuse)?)
    } else {
        None
    };
    let mut given = given.into_iter();
    let mut next = |stream| match (stream, &terminal) {
        (Stream::OwnTerminal, Some((_, inside))) => inside.try_clone().or_refuse(Wall::Terminal, refuse),
        _ => given.next().ok_or_else(|| Refusal::because(Wall::Streams, "a standard stream is missing")),
    };
    let [input, output, errors] = orders.streams;
    let streams = [next(input)?, next(output)?, next(errors)?];
    Ok((streams, terminal.map(|(outside, _)| outside)))
}

/// Opens a pseudoterminal of the sandbox's own instance. Returns its outside and inside ends.
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outside = openpt(flags)?;
    unlockpt(&outside)?;
    let inside = ioctl_tiocgptpeer(&outside, flags)?;
    Ok((outside, inside))
}

/// Signals that are passed on to the program.
pub(super) const PASSED_ON: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGALRM,
];

fn start(plan: &Plan, [input, output, errors]: [OwnedFd; 3], signals: &SigSet) -> io::Result<u8> {
    let mut command = Stage::Program.command();
    program::add_arguments(&mut command, plan);
    let child = command
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(errors))
        .spawn()?;
    drop(command);
    let program = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(program)? {
                    return Ok(code);
                }
            }
            signal => pass_on(signal, program),
        }
    }
}

/// Takes note of every process that has ended. Returns the exit code of the program if it has.
fn reap(program: Pid) -> io::Result<Option<u8>> {
    let code = |code| Some(u8::try_from(code).unwrap_or(u8::MAX));
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == program => return Ok(code(status)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return Ok(code(128 + signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Signals of a keyboard go to the program's process group, as a terminal sends them; others to the program.
fn pass_on(signal: Signal, program: Pid) {
    // The third stage may not have made the group yet.
    let to_group = |signal| killpg(program, signal).or_else(|_| kill(program, signal));
    // It may have ended: then its end is next.
    let _ = match signal {
        // The group has no parent that could continue it, so the kernel would ignore the signal of the keyboard.
        Signal::SIGTSTP => to_group(Signal::SIGSTOP),
        Signal::SIGINT | Signal::SIGQUIT | Signal::SIGCONT => to_group(signal),
        other => kill(program, other),
    };
}
