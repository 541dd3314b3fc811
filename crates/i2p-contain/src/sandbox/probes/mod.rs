//! The hostile program: tries every way out that is known, and tells which ones held.
//!
//! An [`Accomplice`] outside offers what a desktop or server would: listeners, sockets in files, a process to look
//! into. Its [`Targets`] are handed to the program of [`program`], which prints a [`Row`] for each try, as JSON.

mod accomplice;
mod descriptors;
mod identity;
mod kernel;
mod network;
mod processes;
mod rows;
mod targets;
mod unix;

use std::{ffi::OsString, io, process::Command};

pub use accomplice::Accomplice;
pub use rows::Row;
use rows::{CONTROL_GROUPS, I386, Rows, UNMOUNT};
pub use targets::Targets;

use super::{
    request::Program,
    stage::{STAGE, Stage},
};

/// The program that tries everything, for a [`Request`](super::Request). It prints what [`parse`] reads.
pub fn program(targets: &Targets) -> Program {
    let targets = serde_json::to_string(targets).unwrap_or_default();
    Program::Itself { arguments: vec![STAGE.into(), Stage::Probes.name().into(), targets.into()] }
}

/// Reads what the program has printed.
///
/// # Errors
///
/// It has printed something else, because it was ended early.
pub fn parse(printed: &[u8]) -> io::Result<Vec<Row>> {
    // Something may come after it, such as the line end of a terminal.
    let mut found = serde_json::Deserializer::from_slice(printed).into_iter();
    Ok(found.next().ok_or(io::ErrorKind::UnexpectedEof)??)
}

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

/// The command that runs the program without any walls, to see that the tries are real.
///
/// # Errors
///
/// This program is gone.
pub fn without_walls(targets: &Targets) -> io::Result<Command> {
    let mut command = Stage::Probes.command();
    command.arg(serde_json::to_string(targets)?);
    Ok(command)
}
