//! How i2pd becomes a child that ends with the proxy. The kernel ends a process with its parent only if the process asks for that
//! itself, and i2pd does not. So the proxy starts its own program with [`ARGUMENT`], which asks and then becomes i2pd: what it asked
//! for stays in force.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::{
        fd::RawFd,
        unix::process::{CommandExt, parent_id},
    },
    path::Path,
    process::{self, Command},
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

/// This program, by a link to its file that still leads to it after the file has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The first argument of such a process. After it come the process ID of the proxy, the program and its arguments.
const ARGUMENT: &str = "--i2p-socks-start-i2pd";

/// Exit codes. Shells use the second for programs that cannot be run.
const NOT_PREPARED: i32 = 1;
const NOT_RUN: i32 = 126;
const WRONG_USAGE: i32 = 64;

/// The last of the three descriptors that i2pd gets.
const STDERR: RawFd = 2;

/// Becomes i2pd and does not return, if this process was started for that. Otherwise it does nothing. Call it first in `main`.
pub(crate) fn run() {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ARGUMENT) {
        process::exit(become_i2pd(arguments));
    }
}

/// The command that starts `program` as a child of this process.
pub(super) fn command(program: &Path, arguments: Vec<OsString>) -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg(ARGUMENT).arg(process::id().to_string()).arg(program).args(arguments);
    command
}

/// What it writes to stderr, the proxy puts into the log of i2pd.
fn become_i2pd(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        eprintln!("{ARGUMENT} is for a process that i2p-socks starts itself. Start i2p-socks without it.");
        return WRONG_USAGE;
    };
    if let Err(error) = prepare(parent) {
        eprintln!("i2p-socks: i2pd is not started, because {error}");
        return NOT_PREPARED;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("i2p-socks: {} cannot be run: {error}", program.display());
    NOT_RUN
}

/// Prepares this process for a program that obeys the proxy less than its own code does.
fn prepare(parent: u32) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("it would not end with the proxy: {error}"))?;
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("it could gain privileges: {error}"))?;
    forbid_core_dumps().map_err(|error| format!("core dumps cannot be forbidden: {error}"))?;
    close_inherited().map_err(|error| format!("it would inherit open files: {error}"))?;
    // The proxy may have ended before: then this process has another parent, whose end would mean nothing.
    if parent_id() == parent { Ok(()) } else { Err("the proxy has ended".to_owned()) }
}

/// Closes what the program that started the proxy has left open, such as sockets of a service manager. What the proxy itself opens is
/// never inherited.
fn close_inherited() -> io::Result<()> {
    let number =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    let listed: Vec<Option<RawFd>> = fs::read_dir("/proc/self/fd")?.map(number).collect::<io::Result<_>>()?;
    for number in listed.into_iter().flatten().filter(|number| *number > STDERR) {
        // The one that listed them is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// A core dump would hold the keys of sessions.
fn forbid_core_dumps() -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // A sandbox may forbid to set limits. The proxy has set this one already, and its children inherit it.
    if getrlimit(Resource::Core).maximum == Some(0) {
        return Ok(());
    }
    Ok(setrlimit(Resource::Core, none)?)
}
