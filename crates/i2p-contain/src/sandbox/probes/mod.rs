//! The hostile program: tries every way out that is known, and tells which ones held.
//!
//! An [`Accomplice`] outside offers what a desktop or server would: listeners, sockets in files, a process to look
//! into. Its [`Targets`] are handed to the program of [`program()`], which prints a [`Row`] for each try, as JSON.
//! [`Check`] does all this for a sandbox of this machine.

mod accomplice;
mod check;
mod descriptors;
mod identity;
mod kernel;
mod network;
mod processes;
mod program;
mod rows;
mod targets;
mod unix;

use std::{ffi::OsString, io};

pub use accomplice::Accomplice;
pub use check::{Check, CheckError};
pub use program::{behind, parse, program, without_walls};
pub use rows::Row;
use rows::{CONTROL_GROUPS, I386, Rows, UNMOUNT};
pub use targets::Targets;

/// Runs as the program.
pub(super) fn run(arguments: &[OsString]) -> io::Result<u8> {
    let text = arguments.first().ok_or(io::ErrorKind::InvalidInput)?;
    let targets: Targets = serde_json::from_slice(text.as_encoded_bytes())?;
    serde_json::to_writer(io::stdout(), &rows(&targets))?;
    Ok(0)
}

/// Runs one try in a process of its own, which may end by it.
pub(super) fn run_apart(arguments: &[OsString]) -> io::Result<u8> {
    match arguments.first().and_then(|name| name.to_str()) {
        Some(I386) => kernel::i386_call()?,
        Some(UNMOUNT) => processes::unmount_mask()?,
        Some(CONTROL_GROUPS) => processes::mount_control_groups()?,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    Ok(0)
}

/// Tries everything.
fn rows(targets: &Targets) -> Vec<Row> {
    let mut rows = Rows(Vec::new());
    network::try_all(&mut rows, targets);
    unix::try_all(&mut rows, targets);
    descriptors::try_all(&mut rows, targets);
    processes::try_all(&mut rows, targets);
    kernel::try_all(&mut rows);
    identity::try_all(&mut rows, targets);
    rows.0
}
