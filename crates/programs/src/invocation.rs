//! Running programs so that a person can repeat what was run.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

/// A command line: the program, its arguments, its directory and what is added to its environment. Displayed as a shell
/// takes it.
pub struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    directory: PathBuf,
}

impl Invocation {
    /// Runs `program` in `directory`.
    pub fn new(program: impl AsRef<OsStr>, directory: &Path) -> Self {
        Self {
            program: program.as_ref().into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: directory.into(),
        }
    }

    /// Splits a line at its spaces: the program, then arguments without spaces.
    pub fn typed(line: &str, directory: &Path) -> Self {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap_or_default();
        words.fold(Self::new(program, directory), Self::arg)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// Sets a variable in the environment.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Prints the command line and runs it with our own stdout and stderr, and without stdin.
    pub fn status(&self) -> Result<ExitStatus> {
        println!("$ {self}");
        self.command().stdin(Stdio::null()).status().with_context(|| format!("could not start: {self}"))
    }

    /// The same, and fails unless the program succeeds.
    pub fn run(&self) -> Result<()> {
        self.succeeded(self.status()?)
    }

    /// Runs it and returns what it wrote to stdout; stderr stays ours. Fails unless the program succeeds.
    pub fn output(&self) -> Result<String> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("could not start: {self}"))?;
        self.succeeded(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The command, to be run in another way.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn succeeded(&self, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!("{status}; to repeat it:\n\n    cd {} && {self}\n", quoted(self.directory.as_os_str()));
        }
        Ok(())
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(OsStr::new(value)))?;
        }
        f.write_str(&quoted(&self.program))?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

/// Quotes a word for a POSIX shell where that is necessary.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let line = Invocation::typed("cargo doc --locked", Path::new("/"))
            .arg("two words")
            .arg("it's")
            .arg("")
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            line.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --locked 'two words' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_failure_tells_how_to_repeat_it() {
        let error =
            Invocation::typed("sh -c", Path::new("/tmp")).arg("exit 3").run().unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("cd /tmp && sh -c 'exit 3'"), "{error}");
    }
}
