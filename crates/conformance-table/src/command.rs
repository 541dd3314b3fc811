//! The command of a suite: what it tests is chosen by an environment variable, and the page is compared, or written with
//! [`WRITE`].

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};
use lab::suite::{CommandLine, Suite};
use programs::{Program, Workspace, install_missing};

use crate::judge::WRITE;

/// Something that a suite tests.
pub trait Subject: Copy + 'static {
    /// Those that every run tests.
    const ALL: &'static [Self];
    /// Those that run only when they are chosen. Their results are recorded.
    const BY_HAND: &'static [Self];

    /// Its name in the environment variable that chooses it.
    fn name(self) -> &'static str;

    /// Its program and the Debian package of that; nothing for ours.
    fn program(self) -> Option<Program>;

    /// The title of its column.
    fn title(self) -> &'static str {
        if self.program().is_some() { self.name() } else { "i2p-socks" }
    }
}

/// A suite that compares servers.
pub struct Comparison {
    /// The suite.
    pub suite: Suite,
    /// What it runs beside the servers.
    pub programs: &'static [Program],
    /// The variable that chooses one server. Without it, all are tested.
    pub variable: &'static str,
}

impl Comparison {
    /// Runs the suite and returns the exit code of the process. `work` is done inside the namespaces: it tests the chosen servers, and
    /// writes the page or compares it.
    pub fn run<S: Subject>(
        &self,
        work: impl AsyncFnOnce(&Workspace, &Path, &[S], bool) -> Result<()>,
    ) -> ExitCode {
        let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
        let write = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => false,
            [WRITE] => true,
            _ => return self.suite.wrong_usage("--write or no argument"),
        };
        self.suite.run(|workspace| {
            let subjects = self.chosen::<S>()?;
            match is_inside {
                true => {
                    self.suite.in_lab(workspace, async |lab| work(workspace, lab, &subjects, write).await)
                }
                false => self.outside(workspace, &subjects, write),
            }
        })
    }

    /// Prepares what needs the internet, then runs the rest inside the namespaces.
    fn outside<S: Subject>(&self, workspace: &Workspace, subjects: &[S], write: bool) -> Result<()> {
        let all = subjects.len() == S::ALL.len();
        ensure!(!write || all, "{WRITE} needs all servers: unset {}", self.variable);
        let of_subjects = subjects.iter().copied().filter_map(S::program);
        let needed: Vec<_> = of_subjects.chain(self.programs.iter().copied()).collect();
        install_missing(&needed, workspace)?;
        workspace.build_proxy()?;
        self.suite.run_inside_despite_crashes(workspace, if write { &[WRITE] } else { &[] })
    }

    fn chosen<S: Subject>(&self) -> Result<Vec<S>> {
        choose(self.variable, &std::env::var(self.variable).unwrap_or_default())
    }
}

fn choose<S: Subject>(variable: &str, name: &str) -> Result<Vec<S>> {
    if name.is_empty() {
        return Ok(S::ALL.to_vec());
    }
    let all = || S::ALL.iter().chain(S::BY_HAND).copied();
    let known = all().map(S::name).collect::<Vec<_>>().join(", ");
    let subject = all().find(|subject| subject.name() == name);
    subject.map(|subject| vec![subject]).with_context(|| format!("{variable}={name} is none of {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Named(&'static str);

    impl Subject for Named {
        const ALL: &'static [Self] = &[Self("ours"), Self("theirs")];
        const BY_HAND: &'static [Self] = &[Self("rare")];

        fn name(self) -> &'static str {
            self.0
        }

        fn program(self) -> Option<Program> {
            None
        }
    }

    #[test]
    fn one_server_or_all_of_them() {
        assert_eq!(choose::<Named>("V", "").unwrap(), Named::ALL);
        assert_eq!(choose::<Named>("V", "theirs").unwrap(), [Named("theirs")]);
        assert_eq!(choose::<Named>("V", "rare").unwrap(), [Named("rare")]);
        let error = choose::<Named>("V", "ss5").unwrap_err().to_string();
        assert_eq!(error, "V=ss5 is none of ours, theirs, rare");
    }
}
