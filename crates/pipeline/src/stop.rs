//! How a step that runs beside others is stopped, whatever ends the pipeline: a failure, Ctrl-C or a kill.

use std::{
    env,
    io::{self, Read},
    thread,
};

use rustix::process::{Signal, kill_current_process_group};

/// Set in the environment of a step that runs beside others.
pub(crate) const STEP_OF_LANE: &str = "PIPELINE_STEP_OF_LANE";

/// Whether this process is a step that runs beside others. All earlier stages have passed.
#[must_use]
pub fn is_step_of_lane() -> bool {
    env::var_os(STEP_OF_LANE).is_some()
}

/// If this process is a step that runs beside others: stops it, and all that it has started, at the end of its stdin. The kernel
/// closes the other end when the pipeline ends. What this process starts must have another stdin.
pub fn stop_with_stdin() {
    if !is_step_of_lane() {
        return;
    }
    thread::spawn(|| {
        // Nobody writes: this returns at the end.
        let _ = io::stdin().lock().read(&mut [0]);
        let _ = kill_current_process_group(Signal::TERM);
    });
}
