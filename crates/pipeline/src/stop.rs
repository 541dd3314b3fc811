//! How a step that runs beside others is stopped, whatever ends `ci`: a failure, Ctrl-C or a kill.

use std::{
    env,
    io::{self, Read},
    thread,
};

use rustix::process::{Signal, kill_current_process_group};

/// Set in the environment of a step that ends at the end of its stdin.
pub(super) const STOP_WITH_STDIN: &str = "XTASK_STOP_WITH_STDIN";

/// Set in the environment of a step after the step `build`.
pub(super) const BUILT: &str = "XTASK_BUILT";

/// Whether this process is a step of `ci`, which has run the step `build` before.
pub(crate) fn is_built() -> bool {
    env::var_os(BUILT).is_some()
}

/// Stops this process, and all that it has started, at the end of its stdin, if `ci` asks for that. The kernel closes the other end
/// when `ci` ends. What this process starts must have another stdin.
pub(crate) fn stop_with_stdin() {
    if env::var_os(STOP_WITH_STDIN).is_none() {
        return;
    }
    thread::spawn(|| {
        // Nobody writes: this returns at the end.
        let _ = io::stdin().lock().read(&mut [0]);
        let _ = kill_current_process_group(Signal::TERM);
    });
}
