//! Running programs so that a person can repeat what was run.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// One command line: what to run, where and with which environment. Displays as what a shell would take.
pub(crate) struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    directory: PathBuf,
}

impl Invocation {
    /// `program`, to be run in `directory`.
    pub(crate) fn new(program: impl AsRef<OsStr>, directory: &Path) -> Self {
        Self {
            program: program.as_ref().into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: directory.into(),
        }
    }

    /// A command line whose arguments hold no spaces, as it is typed.
    pub(crate) fn typed(line: &str, directory: &Path) -> Self {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap_or_default();
        words.fold(Self::new(program, directory), Self::arg)
    }

    /// With one more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// With a variable set in the environment.
    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Runs it with our own stdout and stderr. Fails unless it succeeds.
    pub(crate) fn run(&self) -> Result<()> {
        println!("$ {self}");
        let status = self.command().status().with_context(|| format!("could not start: {self}"))?;
        if !status.success() {
            bail!("{status}; to repeat it:\n\n    cd {} && {self}\n", quoted(self.directory.as_os_str()));
        }
        Ok(())
    }

    /// Runs it and gives what it wrote to stdout; stderr stays ours. Fails unless it succeeds.
    pub(crate) fn output(&self) -> Result<String> {
        let output = self
            .command()
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("could not start: {self}"))?;
        if !output.status.success() {
            bail!(
                "{}; to repeat it:\n\n    cd {} && {self}\n",
                output.status,
                quoted(self.directory.as_os_str())
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The command for whoever wants to run it in another way.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
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

/// A word as a POSIX shell takes it.
fn quoted(word: &OsStr) -> String {
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
    fn a_failure_says_how_to_repeat_it() {
        let error =
            Invocation::typed("sh -c", Path::new("/tmp")).arg("exit 3").run().unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("cd /tmp && sh -c 'exit 3'"), "{error}");
    }
}
