//! Steps side by side. Each is a process of its own, and its output is printed when it has ended.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use crate::{
    Lane, failure,
    report::{Outcome, Report},
    stop::STEP_OF_LANE,
};

/// How often a lane checks whether its step has ended, or another one has failed.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A step that has ended, and what it printed.
struct Ended {
    name: &'static str,
    outcome: Outcome,
    duration: Duration,
    output: Vec<u8>,
}

/// What lanes tell each other.
#[derive(Default)]
struct Shared {
    /// Set at the first failure.
    stop: AtomicBool,
    passed: Mutex<Vec<&'static str>>,
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn add_passed(&self, step: &'static str) {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Waits until this step has passed, or the lanes stop.
    fn wait_for(&self, step: &str) {
        while !self.stops() && !self.passed.lock().unwrap_or_else(PoisonError::into_inner).contains(&step) {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Runs lanes at the same time. `program` is this program. The first failure stops the steps of the other lanes; its output is
/// printed last.
pub(crate) fn run(lanes: &'static [Lane], program: &Path, report: &Report) -> Result<()> {
    let shared = Shared::default();
    let mut failed = None;
    thread::scope(|scope| -> Result<()> {
        let (sender, ended) = mpsc::channel();
        for lane in lanes {
            let (sender, shared) = (sender.clone(), &shared);
            scope.spawn(move || lane.run(program, shared, &sender));
        }
        drop(sender);
        for result in ended {
            match result {
                Ok(step) => {
                    report.add(step.name, step.outcome, step.duration);
                    match step.outcome {
                        Outcome::Failed if failed.is_none() => failed = Some(Ok(step)),
                        _ => print_output(&step)?,
                    }
                }
                Err(error) => failed = failed.take().or(Some(Err(error))),
            }
        }
        Ok(())
    })?;
    match failed {
        None => Ok(()),
        Some(Ok(step)) => {
            print_output(&step)?;
            Err(anyhow!(failure(step.name)))
        }
        Some(Err(error)) => Err(error),
    }
}

fn print_output(step: &Ended) -> Result<()> {
    let outcome = match step.outcome {
        Outcome::Passed => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Stopped => "stopped",
    };
    let mut stdout = io::stdout().lock();
    writeln!(
        stdout,
        "\n==> {}: {outcome} after {:.1} s; its output:",
        step.name,
        step.duration.as_secs_f64()
    )?;
    stdout.write_all(&step.output)?;
    Ok(stdout.flush()?)
}

impl Lane {
    /// Runs the steps until one fails, or the lanes stop. Stops them at a failure.
    fn run(&self, program: &Path, shared: &Shared, ended: &mpsc::Sender<Result<Ended>>) {
        for step in self.steps {
            if let Some(wait) = self.waits.filter(|wait| wait.step == step.name) {
                shared.wait_for(wait.after);
            }
            if shared.stops() {
                return;
            }
            println!("\n==> {} has begun: {}", step.name, step.description);
            let result = self.run_step(step.name, program, &shared.stop);
            match &result {
                Ok(ended) if ended.outcome == Outcome::Passed => shared.add_passed(step.name),
                _ => shared.stop.store(true, Relaxed),
            }
            // The receiver takes all there is.
            let _ = ended.send(result);
        }
    }

    fn run_step(&self, name: &'static str, program: &Path, stop: &AtomicBool) -> Result<Ended> {
        let start = Instant::now();
        let mut output = tempfile::tempfile().context("no temporary file")?;
        let mut child = self
            .command(name, program, &output)?
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        let outcome = wait(&mut child, stop)?;
        let mut printed = Vec::new();
        output.rewind()?;
        output.read_to_end(&mut printed)?;
        Ok(Ended { name, outcome, duration: start.elapsed(), output: printed })
    }

    /// This program with the name of the step, which writes to `output`. It leads a process group, so that all that it starts can
    /// be stopped with it.
    fn command(&self, name: &str, program: &Path, output: &File) -> Result<Command> {
        let mut command = if self.nice {
            let mut nice = Command::new("nice");
            nice.args(["-n", "10"]).arg(program);
            nice
        } else {
            Command::new(program)
        };
        command.arg(name).env(STEP_OF_LANE, "1");
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output.try_clone()?);
        command.process_group(0);
        Ok(command)
    }
}

/// Waits until the step ends. Stops it when `stop` is set.
fn wait(child: &mut Child, stop: &AtomicBool) -> Result<Outcome> {
    loop {
        if let Some(status) = child.try_wait().context("lost track of a step")? {
            return Ok(if status.success() { Outcome::Passed } else { Outcome::Failed });
        }
        if stop.load(Relaxed) {
            // It ends at the end of its stdin.
            drop(child.stdin.take());
            child.wait().context("lost track of a step")?;
            return Ok(Outcome::Stopped);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chore, Pipeline, Wait};
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    /// A shell script with these lines, to run instead of this program.
    fn script(directory: &Path, lines: &str) -> PathBuf {
        let path = directory.join("program");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    const LANES: &[Lane] = &[
        Lane { steps: &[Chore::named("test"), Chore::named("interop")], nice: false, waits: None },
        Lane { steps: &[Chore::named("deny"), Chore::named("install")], nice: true, waits: None },
    ];

    #[test]
    fn a_step_waits_for_a_step_of_another_lane() {
        const WAITING: &[Lane] = &[
            Lane { steps: &[Chore::named("build")], nice: false, waits: None },
            Lane {
                steps: &[Chore::named("test")],
                nice: false,
                waits: Some(Wait { step: "test", after: "build" }),
            },
        ];
        let directory = tempfile::tempdir().unwrap();
        let built = directory.path().join("built");
        let run = |build: &str| {
            let lines =
                format!("case $1 in build) sleep 0.3; {build};; test) test -e {};; esac", built.display());
            let (program, report) = (script(directory.path(), &lines), Report::default());
            run(WAITING, &program, &report).map_err(|error| error.to_string())
        };
        assert_eq!(run(&format!("touch {}", built.display())), Ok(()));
        // The step that waits does not begin when the other has failed.
        assert_eq!(run("exit 1").unwrap_err(), "step build failed; to run it alone: cargo xtask build");
    }

    #[test]
    fn lanes_run_side_by_side_and_a_failure_stops_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let run = |lines: &str| {
            let (program, report) = (script(directory.path(), lines), Report::default());
            let outcome = run(LANES, &program, &report).map_err(|error| error.to_string());
            (outcome, report.summary(Pipeline { stages: &[LANES] }.steps(), Duration::ZERO))
        };
        let (outcome, summary) = run("exit 0");
        assert_eq!((outcome, summary.matches(" ok ").count()), (Ok(()), 4));

        // The first step of one lane runs until the end of its stdin.
        let (outcome, summary) = run("case $1 in test) cat;; deny) exit 1;; esac");
        assert_eq!(outcome.unwrap_err(), "step deny failed; to run it alone: cargo xtask deny");
        for (step, outcome) in
            [("test", "stopped"), ("interop", "not run"), ("deny", "FAILED"), ("install", "not run")]
        {
            assert!(summary.contains(&format!("{step:17} {outcome}")), "{step} {outcome} is not in{summary}");
        }
    }
}
