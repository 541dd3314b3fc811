//! A sandbox as the process outside sees it: started, fed, signalled, waited for.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::{Child, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustix::{
    io::Errno,
    process::{Signal, pidfd_send_signal},
};
use serde::Serialize;
use signal_hook::{
    consts::{SIGTSTP, SIGWINCH},
    iterator::{Handle, Signals},
    low_level::emulate_default_handler,
};

use super::{
    control::{Control, MAX_DESCRIPTORS},
    init::{InitOrders, PASSED_ON},
    namespaces::exit_code,
    plan::Plan,
    refusal::{OrRefuse, Refusal},
    shown_by_root,
    stage::Stage,
    streams::Streams,
    terminal::TerminalRelay,
    wall::Wall,
};

/// Namespaces with a link, in which nothing runs yet. Dropping it takes them down.
pub struct Prepared {
    plan: Plan,
    stage: FirstStage,
    link: Vec<OwnedFd>,
}

/// A contained program. Dropping it ends the program, and everything that it has started.
pub struct Running {
    stage: FirstStage,
    init: Arc<OwnedFd>,
    outputs: Vec<JoinHandle<()>>,
    signals: Option<(Handle, JoinHandle<()>)>,
}

/// The process of the first stage, which ends everything inside when the connection ends.
struct FirstStage {
    control: Option<Control>,
    process: Child,
}

impl FirstStage {
    fn start() -> io::Result<Self> {
        let (control, other) = Control::pair()?;
        // Its errors come over the connection. It must not hold the user's streams open.
        let mut command = Stage::Namespaces.command();
        command.stdin(other.for_stage()?).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { control: Some(control), process: command.spawn()? })
    }

    fn tell(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<(), Refusal> {
        let control = self.control.as_ref().ok_or_else(|| ended("it was ended"))?;
        control.send(message, descriptors).map_err(|error| ended(&error.to_string()))
    }

    /// Waits for the answer of a stage: its descriptors, or why it has refused.
    fn answer(&self) -> Result<Vec<OwnedFd>, Refusal> {
        let control = self.control.as_ref().ok_or_else(|| ended("it was ended"))?;
        let answer = control.receive::<Result<(), Refusal>>();
        let (answer, descriptors) = answer.map_err(|error| ended(&error.to_string()))?;
        answer.map(|()| descriptors)
    }
}

impl Drop for FirstStage {
    fn drop(&mut self) {
        self.control = None;
        let _ = self.process.wait();
    }
}

impl Prepared {
    /// Makes the namespaces and the link in them.
    ///
    /// # Errors
    ///
    /// A wall could not be built. Nothing is left behind, except that a private home of root's now belongs to the user that its
    /// programs run as.
    pub fn new(plan: Plan) -> Result<Self, Refusal> {
        if plan.is_root {
            shown_by_root::give_away_home(&plan)?;
        }
        let stage = FirstStage::start().or_refuse(Wall::Users, "starting the first stage")?;
        stage.tell(&plan, &[])?;
        let link = stage.answer()?;
        Ok(Self { plan, stage, link })
    }

    /// The descriptors that the link has handed over. The caller serves them from now on. They are closed here once
    /// they are dropped: nobody else has them.
    pub fn take_link(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.link)
    }

    /// Builds the other walls, and starts the program once all stand. Its standard streams are those of this process,
    /// or are relayed by threads of it. Signals that end or stop a process are passed on to the program from now on.
    ///
    /// # Errors
    ///
    /// A wall could not be built. The program has not been started, and nothing is left behind.
    pub fn start(self) -> Result<Running, Refusal> {
        let streams = Streams::of_this_process(&self.plan).or_refuse(Wall::Streams, "making pipes")?;
        self.start_on(streams)
    }

    /// Starts the program with empty standard input. Returns what it prints, too; its errors go where those of this process go.
    pub(super) fn start_captured(self) -> Result<(Running, File), Refusal> {
        let (streams, output) = Streams::captured(&self.plan).or_refuse(Wall::Streams, "making pipes")?;
        Ok((self.start_on(streams)?, output))
    }

    fn start_on(self, streams: Streams) -> Result<Running, Refusal> {
        self.stage.tell(&(), &[])?;
        let init = self.stage.answer()?.into_iter().next();
        let init = Arc::new(init.ok_or_else(|| ended("the first stage has not told its process"))?);
        let [input, output, errors] = streams.kinds.as_slice() else {
            return Err(Refusal::because(Wall::Streams, "a standard stream is missing"));
        };
        let (opened, trees): (Vec<_>, Vec<_>) = if self.plan.is_root {
            let room = MAX_DESCRIPTORS - streams.given.len();
            shown_by_root::open(&self.plan, room).into_iter().unzip()
        } else {
            Default::default()
        };
        let orders = InitOrders { plan: self.plan.clone(), streams: [*input, *output, *errors], opened };
        let given: Vec<_> = streams.given.iter().chain(&trees).map(AsFd::as_fd).collect();
        self.stage.tell(&orders, &given)?;
        let terminal = self.stage.answer()?.into_iter().next();
        let terminal = terminal.map(TerminalRelay::start).transpose();
        let terminal = terminal.or_refuse(Wall::Terminal, "relaying the terminal")?;
        let (terminal, shown) = terminal.unzip();
        let signals = pass_signals_on(Arc::clone(&init), terminal);
        let signals = signals.or_refuse(Wall::Terminal, "passing signals on")?;
        let mut running = Running { stage: self.stage, init, outputs: Vec::new(), signals: Some(signals) };
        running.stage.tell(&(), &[])?;
        running.outputs = streams.relay();
        running.outputs.extend(shown);
        Ok(running)
    }
}

impl Running {
    /// Waits until the program has ended and its output is written. Returns its exit code: its own, or 128 and the
    /// number of the signal that ended it. A program that is not there inside has 127, and one that cannot be run 126,
    /// as in a shell.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn wait(mut self) -> io::Result<u8> {
        let status = self.stage.process.wait()?;
        // Its reader may be slow: meanwhile, a signal ends this process.
        for output in self.outputs.drain(..) {
            let _ = output.join();
        }
        self.stop_passing_signals_on();
        Ok(exit_code(status))
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.init, signal)?)
    }

    fn stop_passing_signals_on(&mut self) {
        if let Some((handle, thread)) = self.signals.take() {
            handle.close();
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_passing_signals_on();
    }
}

/// Passes signals on to the program, in a thread of its own. Once it has ended, they do to this process what they would
/// do anyway.
fn pass_signals_on(
    init: Arc<OwnedFd>,
    terminal: Option<TerminalRelay>,
) -> io::Result<(Handle, JoinHandle<()>)> {
    let ignored = ignored_signals()?;
    let mut signals = Signals::new(PASSED_ON.iter().map(|signal| *signal as i32).chain([SIGWINCH]))?;
    let handle = signals.handle();
    let thread = thread::spawn(move || {
        for number in signals.forever() {
            if number == SIGWINCH {
                if let Some(terminal) = &terminal {
                    terminal.resize();
                }
                continue;
            }
            let sent = Signal::from_named_raw(number).map(|signal| pidfd_send_signal(&init, signal));
            let has_ended = matches!(sent, Some(Err(Errno::SRCH)));
            if number == SIGTSTP || (has_ended && ignored >> (number - 1) & 1 == 0) {
                terminal.iter().for_each(TerminalRelay::give_back);
                // It returns once this process goes on, if it does.
                let _ = emulate_default_handler(number);
                terminal.iter().for_each(TerminalRelay::take_over);
            }
        }
    });
    Ok((handle, thread))
}

/// The signals that this process was started to ignore, such as SIGHUP by nohup(1): a bit for each.
fn ignored_signals() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    Ok(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default())
}

fn ended(cause: &str) -> Refusal {
    Refusal::because(Wall::Users, format!("a stage of the sandbox has ended early: {cause}"))
}
