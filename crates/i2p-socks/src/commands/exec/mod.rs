//! `exec`: runs a program so that all its traffic goes through I2P and nothing else leaves.
//!
//! This process stays outside the sandbox (`sandbox`, of the crate i2p-contain) and is the only way out of it. It owns the TUN device
//! and the listener inside (`link`), answers DNS (`names`), and dials, resolves and carries datagrams for the program (`outside`).
//! All of that goes over a [`Way`](way::Way): through the running proxy (`proxy`), or by sessions of this process (`own`). What a way needs to
//! know is in `way`; there is nothing else to implement for another one.
//!
//! Virtual addresses belong to the run. They are kept here, so a way is only told names, and addresses that the program has not got
//! from us.
//!
//! May import what `commands` may.

#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod datagrams;
#[cfg(target_os = "linux")]
mod leased;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod names;
mod options;
#[cfg(target_os = "linux")]
mod outside;
#[cfg(target_os = "linux")]
mod own;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
mod request;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod turns;
#[cfg(target_os = "linux")]
mod way;

use std::process::ExitCode;

pub(crate) use self::options::ExecCommand;
use crate::{command_error::CommandError, config::Config, terminal::progress::Progress};

/// If this process is a stage of a sandbox, runs it, and returns its exit code. To be called first thing in `main`.
pub(crate) fn run_if_stage() -> Option<ExitCode> {
    #[cfg(target_os = "linux")]
    return i2p_contain::sandbox::run_if_stage(link::open);
    #[cfg(not(target_os = "linux"))]
    return None;
}

/// Runs a program. Returns its exit code.
///
/// # Errors
/// Why it was not started.
pub(crate) async fn exec(
    config: Config,
    command: &ExecCommand,
    progress: &Progress,
) -> Result<ExitCode, CommandError> {
    #[cfg(target_os = "linux")]
    if command.check {
        return check::run(&config, command).await.map(|()| ExitCode::SUCCESS);
    }
    #[cfg(target_os = "linux")]
    let result = run::run(config, command, progress).await.map(ExitCode::from);
    #[cfg(not(target_os = "linux"))]
    let result = {
        let _ = (config, command, progress);
        Err(CommandError::run_time("programs can be contained on Linux only"))
    };
    result.map_err(CommandError::without_start)
}
