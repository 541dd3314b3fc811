//! `passwd`: creates an entry for a users file.

use std::io::{self, BufRead, IsTerminal, Read};

use i2p_tunnel::Users;
use zeroize::Zeroizing;

use crate::{
    command_error::CommandError,
    files,
    terminal::output::{self, print},
};

/// Longer than a name or a password can be, with its end of line.
const MAX_LINE_BYTES: usize = 512;

const NO_PASSWORD: &str = "no password was given. stdin has it in one line; without NAME, the first line is the user name and the \
                           second the password";

/// Asks for the password, and for the name if it is missing, and prints a line for a users file. The password is never an argument,
/// because all users of a machine can see arguments.
pub(crate) fn run(name: Option<&str>) -> Result<(), CommandError> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => ask("Name: ")?.to_string(),
    };
    let password = if io::stdin().is_terminal() { ask_twice()? } else { line()? };
    if password.is_empty() {
        return Err(CommandError::usage(NO_PASSWORD));
    }
    let entry = Users::entry(&name, password.as_bytes()).map_err(CommandError::usage)?;
    print(&format!("{entry}\n"))
}

/// A line of stdin, with a prompt if stdin is a terminal.
fn ask(prompt: &str) -> Result<Zeroizing<String>, CommandError> {
    if io::stdin().is_terminal() {
        output::prompt(prompt);
    }
    line()
}

fn ask_twice() -> Result<Zeroizing<String>, CommandError> {
    let hidden =
        |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| unread(&error));
    let password = hidden("Password: ")?;
    if password == hidden("Password again: ")? {
        Ok(password)
    } else {
        Err(CommandError::usage("the two passwords differ; no entry was created"))
    }
}

/// One line of stdin, without its end.
fn line() -> Result<Zeroizing<String>, CommandError> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
    let read = io::stdin()
        .lock()
        .take(MAX_LINE_BYTES as u64)
        .read_until(b'\n', &mut line)
        .map_err(|error| unread(&error))?;
    if read == MAX_LINE_BYTES && !line.ends_with(b"\n") {
        return Err(CommandError::usage(
            "a line on stdin is too long: a name or a password has at most 255 bytes",
        ));
    }
    // PowerShell writes into a pipe as editors write into files.
    let text = files::text_of(&line).map_err(|error| unread(&error))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn unread(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::run_time(format_args!("cannot read the name or the password: {error}"))
}
