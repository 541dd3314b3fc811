//! Sandboxes as they run: which tries of the hostile program get out of which walls, and how contained programs behave.
//!
//! This program is also the stages of its sandboxes, and the programs that start them: so it has a main function of its
//! own. As root, it runs everything a second time as a user.

// Clippy does not know a program without the standard harness as a test.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod contained;
mod harness;
mod hostile;
mod terminals;

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use i2p_contain::sandbox::run_if_stage;
use libtest_mimic::{Arguments, Trial};

/// The user that no other program runs as.
const NOBODY: u32 = 65534;

/// Tells this program that it runs as the user.
const AS_USER: &str = "I2P_CONTAIN_TEST_AS_USER";

fn main() -> ExitCode {
    if let Some(code) = run_if_stage(harness::open_link) {
        return code;
    }
    if let Some(code) = harness::run_if_starter() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Each starts several processes.
    arguments.test_threads.get_or_insert(4);
    let mut trials: Vec<Trial> = hostile::trials();
    trials.extend(contained::trials());
    trials.extend(terminals::trials());
    if libtest_mimic::run(&arguments, trials).has_failed() {
        return ExitCode::from(101);
    }
    if arguments.list || env::var_os(AS_USER).is_some() || !rustix::process::getuid().is_root() {
        return ExitCode::SUCCESS;
    }
    let again = Command::new("/proc/self/exe")
        .args(env::args_os().skip(1))
        .env(AS_USER, "1")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .status();
    match again {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::from(101),
    }
}
