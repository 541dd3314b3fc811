//! `passwd`: entries for a users file.

use std::io::{self, BufRead, IsTerminal, Write};

use i2p_tunnel::Users;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Asks for what is missing, and prints a line for a users file. The password is never an argument: those are seen by all
/// users of a machine.
pub(crate) fn run(name: Option<&str>) -> Result<(), Failure> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => ask("Name: ")?.to_string(),
    };
    let password = if io::stdin().is_terminal() { ask_twice()? } else { line()? };
    let entry = Users::entry(&name, password.as_bytes()).map_err(Failure::usage)?;
    writeln!(io::stdout(), "{entry}")
        .map_err(|error| Failure::run_time(format_args!("cannot print the entry: {error}")))
}

/// A line of stdin, asked for where a person sits there.
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if io::stdin().is_terminal() {
        // Without it, it is only less friendly.
        let _ = write!(io::stderr(), "{prompt}");
    }
    line()
}

fn ask_twice() -> Result<Zeroizing<String>, Failure> {
    let hidden =
        |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| unread(&error));
    let password = hidden("Password: ")?;
    if password == hidden("Password again: ")? {
        Ok(password)
    } else {
        Err(Failure::usage("the two passwords differ; no entry was made"))
    }
}

/// One line, without its end.
fn line() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(512));
    io::stdin().lock().read_line(&mut line).map_err(|error| unread(&error))?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn unread(error: &io::Error) -> Failure {
    Failure::run_time(format_args!("cannot read the name or the password: {error}"))
}
