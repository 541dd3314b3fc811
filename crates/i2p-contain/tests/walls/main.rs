//! Sandboxes as they run: which tries of the hostile program get out of which walls, and how contained programs behave.
//!
//! This program is also the stages of its sandboxes, and the programs that start them: so it has a main function of its
//! own. As root, it lets a service of the machine listen, and runs everything a second time as a user.

// Clippy does not know a program without the standard harness as a test.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod contained;
#[path = "../../examples/hostile.rs"]
#[allow(dead_code, reason = "its main function runs only when the example is a program of its own")]
mod example;
mod harness;
mod hostile;
mod root;
mod terminals;

use std::{
    env,
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    process::{Command, ExitCode},
    sync::Arc,
    thread,
};

use i2p_contain::sandbox::run_if_stage;
use libtest_mimic::{Arguments, Trial};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT};
use tempfile::TempDir;

use crate::harness::RUN;

/// The user that no other program runs as.
const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    if let Some(code) = run_if_stage(|_| harness::open_link()) {
        return code;
    }
    if let Some(code) = harness::run_if_starter() {
        return code;
    }
    heed_ignored_signals().expect("handlers can be set");
    let mut arguments = Arguments::from_args();
    // Each starts several processes.
    arguments.test_threads.get_or_insert(4);
    let mut trials: Vec<Trial> = hostile::trials();
    trials.extend(contained::trials());
    trials.extend(terminals::trials());
    trials.extend(root::trials());
    if arguments.list || !rustix::process::getuid().is_root() {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let _service = Service::start();
    if libtest_mimic::run(&arguments, trials).has_failed() {
        return ExitCode::from(101);
    }
    let run = TempDir::with_prefix_in("i2p-contain-", "/run").expect("root may write there");
    chown(run.path(), Some(NOBODY), Some(NOBODY)).expect("root may give it away");
    let as_user = Command::new("/proc/self/exe")
        .args(env::args_os().skip(1))
        .env(RUN, run.path())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .status();
    match as_user {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::from(101),
    }
}

/// Lets programs of the tests have the usual effect of signals that this process was started to ignore, as nohup(1) and jobs of a
/// shell in the background are: a program that is executed inherits what is ignored, but no handlers.
fn heed_ignored_signals() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    for signal in [SIGHUP, SIGINT, SIGQUIT].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 1) {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

/// The smart cards' service, which hostile programs know, if the machine has none.
struct Service;

impl Service {
    const DIRECTORY: &str = "/run/pcscd";
    const SOCKET: &str = "/run/pcscd/pcscd.comm";

    fn start() -> Option<Self> {
        if UnixStream::connect(Self::SOCKET).is_ok() {
            return None;
        }
        // A service that was ended may have left both.
        let _ = (fs::create_dir(Self::DIRECTORY), fs::remove_file(Self::SOCKET));
        let listener = UnixListener::bind(Self::SOCKET).expect("root may listen there");
        fs::set_permissions(Self::SOCKET, Permissions::from_mode(0o666)).expect("it is root's");
        // It takes clients until this process ends.
        thread::spawn(move || listener.incoming().for_each(drop));
        Some(Self)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = (fs::remove_file(Self::SOCKET), fs::remove_dir(Self::DIRECTORY));
    }
}
