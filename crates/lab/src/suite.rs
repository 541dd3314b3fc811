//! How a suite runs: twice.
//!
//! Outside, it installs programs and builds the proxy, with the internet. Then it starts itself again inside namespaces
//! without the internet, where its routers and servers run.

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};
use programs::Workspace;
use tokio::runtime::Runtime;

use crate::{
    namespace::{self, Namespaces},
    router::crash,
};

/// The argument with which a suite starts itself inside its namespaces.
const INSIDE: &str = "--inside";
/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h), the same as that of `i2p-socks`.
const USAGE: u8 = 64;
/// Exit code of a suite that failed after a router had crashed (`EX_TEMPFAIL` of sysexits.h: try again).
const ROUTER_CRASHED: u8 = 75;

/// A suite.
#[derive(Clone, Copy)]
pub struct Suite {
    /// Its name as a chore: `cargo xtask NAME`.
    pub name: &'static str,
    /// The namespaces that it needs.
    pub namespaces: Namespaces,
}

/// The command line of this process.
pub struct CommandLine {
    /// Whether this is the process that the suite has started inside its namespaces.
    pub is_inside: bool,
    /// The arguments of the user.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// Reads the arguments of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::of(env::args().skip(1).collect())
    }

    fn of(mut arguments: Vec<String>) -> Self {
        let is_inside = arguments.first().is_some_and(|first| first == INSIDE);
        arguments.drain(..usize::from(is_inside));
        Self { is_inside, arguments }
    }
}

impl Suite {
    /// The main function of a suite without arguments. `outside` prepares what needs the internet and ends with
    /// [`Suite::run_inside`]; `inside` is the suite.
    pub fn main(
        &self,
        outside: impl FnOnce(&Workspace) -> Result<()>,
        inside: impl AsyncFnOnce(&Workspace, &Path) -> Result<()>,
    ) -> ExitCode {
        let CommandLine { is_inside, arguments } = CommandLine::of_this_process();
        match (arguments.is_empty(), is_inside) {
            (false, _) => self.wrong_usage("no arguments"),
            (true, true) => {
                self.run(|workspace| self.in_lab(workspace, async |lab| inside(workspace, lab).await))
            }
            (true, false) => self.run(outside),
        }
    }

    /// Does one half of the suite and returns the exit code of the process.
    pub fn run(&self, half: impl FnOnce(&Workspace) -> Result<()>) -> ExitCode {
        match Workspace::of_this_program().and_then(|workspace| half(&workspace)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                if crash::was_recorded() { ExitCode::from(ROUTER_CRASHED) } else { ExitCode::FAILURE }
            }
        }
    }

    /// Reports a wrong command line and returns the exit code of the process.
    #[must_use]
    pub fn wrong_usage(&self, options: &str) -> ExitCode {
        eprintln!("error: {} takes {options}", self.name);
        ExitCode::from(USAGE)
    }

    /// Starts this program again inside its namespaces. Fails if that fails.
    pub fn run_inside(&self, workspace: &Workspace, arguments: &[&str]) -> Result<()> {
        let arguments = [&[INSIDE], arguments].concat();
        let status = namespace::run_this_program(workspace, &arguments, self.namespaces)?;
        ensure!(status.success(), "the suite failed inside its namespaces ({status})");
        Ok(())
    }

    /// The same. If the suite fails after a router has crashed, it runs once more, see the module `router::crash`.
    pub fn run_inside_despite_crashes(&self, workspace: &Workspace, arguments: &[&str]) -> Result<()> {
        let inside = [&[INSIDE], arguments].concat();
        let status = namespace::run_this_program(workspace, &inside, self.namespaces)?;
        if status.code() != Some(ROUTER_CRASHED.into()) {
            ensure!(status.success(), "the suite failed inside its namespaces ({status})");
            return Ok(());
        }
        println!(
            "\nA router crashed, which is not our fault: {} runs once more, with new routers.\n",
            self.name
        );
        self.run_inside(workspace, arguments)
    }

    /// Does the work of the suite inside its namespaces, in a new directory that stays if the work fails.
    pub fn in_lab<T>(&self, workspace: &Workspace, work: impl AsyncFnOnce(&Path) -> Result<T>) -> Result<T> {
        ensure!(
            namespace::is_inside(),
            "{INSIDE} is only for the suite itself; run cargo xtask {}",
            self.name
        );
        let parent = workspace.target().join(self.name);
        fs::create_dir_all(&parent).with_context(|| format!("could not make {}", parent.display()))?;
        let lab = tempfile::Builder::new()
            .prefix("lab-")
            .tempdir_in(&parent)
            .context("no directory for the lab")?;
        let runtime = Runtime::new().context("no runtime")?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                result = work(lab.path()) => Some(result),
                () = namespace::outside_has_ended() => None,
            }
        });
        // Threads that still run end with the process.
        runtime.shutdown_background();
        let result = outcome.context("interrupted").flatten();
        if result.is_err() {
            eprintln!("logs of what ran: {}", lab.keep().display());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_tells_itself_that_it_is_inside() {
        let line = |words: &[&str]| {
            let line = CommandLine::of(words.iter().map(ToString::to_string).collect());
            (line.is_inside, line.arguments.join(" "))
        };
        assert_eq!(line(&[]), (false, String::new()));
        assert_eq!(line(&["--minutes", "3"]), (false, "--minutes 3".into()));
        assert_eq!(line(&["--inside", "--minutes", "3"]), (true, "--minutes 3".into()));
        assert_eq!(line(&["--minutes", "--inside"]), (false, "--minutes --inside".into()));
    }
}
