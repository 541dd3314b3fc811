//! How the hostile program is started, and how what it prints is read.

use std::{env, io, process::Command};

use super::{
    super::{
        request::Program,
        stage::{STAGE, Stage},
    },
    rows::Row,
    targets::Targets,
};

/// The program that tries everything, for a [`Request`](crate::sandbox::Request). It prints what [`parse`] reads.
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

/// The command that runs the program behind another tool: the tool's words, and then the words of [`without_walls`]. Without words, it
/// is the same as that.
///
/// # Errors
///
/// This program is gone.
pub fn behind(tool: &[String], targets: &Targets) -> io::Result<Command> {
    let program = without_walls(targets)?;
    let [name, options @ ..] = tool else { return Ok(program) };
    let mut command = Command::new(name);
    // Inside the tool, /proc/self is the tool.
    command.args(options).arg(env::current_exe()?).args(program.get_args());
    Ok(command)
}
