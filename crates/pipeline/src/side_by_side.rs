//! Steps side by side. Each is a process of its own, and its output is printed when it has ended.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use super::{
    failed,
    report::{Outcome, Report},
    step,
    stop::{BUILT, STOP_WITH_STDIN},
};

/// How often a lane checks whether its step has ended, or another one has failed.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Steps that run one after the other.
pub(super) struct Lane {
    pub(super) steps: &'static [&'static str],
    /// Whether the other lanes come first when all want the processors.
    pub(super) nice: bool,
}

/// A step that has ended, and what it printed.
struct Ended {
    name: &'static str,
    outcome: Outcome,
    duration: Duration,
    output: Vec<u8>,
}

/// Runs lanes at the same time. `xtask` is this program. The first failure stops the steps of the other lanes; its output is printed last.
pub(super) fn run_side_by_side(lanes: &'static [Lane], xtask: &Path, report: &Report) -> Result<()> {
    let stop = AtomicBool::new(false);
    let mut failure = None;
    thread::scope(|scope| -> Result<()> {
        let (sender, ended) = mpsc::channel();
        for lane in lanes {
            let (sender, stop) = (sender.clone(), &stop);
            scope.spawn(move || lane.run(xtask, stop, &sender));
        }
        drop(sender);
        for result in ended {
            match result {
                Ok(step) => {
                    report.add(step.name, step.outcome, step.duration);
                    match step.outcome {
                        Outcome::Failed if failure.is_none() => failure = Some(Ok(step)),
                        _ => print_output(&step)?,
                    }
                }
                Err(error) => failure = failure.take().or(Some(Err(error))),
            }
        }
        Ok(())
    })?;
    match failure {
        None => Ok(()),
        Some(Ok(step)) => {
            print_output(&step)?;
            Err(anyhow!(failed(step.name)))
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
    /// Runs the steps until one fails, or `stop` is set. Sets `stop` at a failure.
    fn run(&self, xtask: &Path, stop: &AtomicBool, ended: &mpsc::Sender<Result<Ended>>) {
        for name in self.steps {
            if stop.load(Relaxed) {
                return;
            }
            println!("\n==> {name} has begun: {}", step(name).description);
            let result = self.run_step(name, xtask, stop);
            if !matches!(&result, Ok(step) if step.outcome == Outcome::Passed) {
                stop.store(true, Relaxed);
            }
            // The receiver takes all there is.
            let _ = ended.send(result);
        }
    }

    fn run_step(&self, name: &'static str, xtask: &Path, stop: &AtomicBool) -> Result<Ended> {
        let start = Instant::now();
        let mut output = tempfile::tempfile().context("no temporary file")?;
        let mut child =
            self.command(name, xtask, &output)?.spawn().with_context(|| format!("could not start {name}"))?;
        let outcome = wait(&mut child, stop)?;
        let mut printed = Vec::new();
        output.rewind()?;
        output.read_to_end(&mut printed)?;
        Ok(Ended { name, outcome, duration: start.elapsed(), output: printed })
    }

    /// This program with the name of the step, which writes to `output`. It leads a process group, so that all that it starts can
    /// be stopped with it.
    fn command(&self, name: &str, xtask: &Path, output: &File) -> Result<Command> {
        let mut command = if self.nice {
            let mut nice = Command::new("nice");
            nice.args(["-n", "10"]).arg(xtask);
            nice
        } else {
            Command::new(xtask)
        };
        command.arg(name).env(STOP_WITH_STDIN, "1").env(BUILT, "1");
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
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    /// A program in the place of this one, which does what a shell does with these lines.
    fn script(directory: &Path, lines: &str) -> PathBuf {
        let path = directory.join("xtask");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    static LANES: [Lane; 2] =
        [Lane { steps: &["test", "interop"], nice: false }, Lane { steps: &["deny", "install"], nice: true }];

    #[test]
    fn lanes_run_side_by_side_and_a_failure_stops_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let run = |lines: &str| {
            let (xtask, report) = (script(directory.path(), lines), Report::default());
            let outcome = run_side_by_side(&LANES, &xtask, &report).map_err(|error| error.to_string());
            (outcome, report.summary(Duration::ZERO))
        };
        let (outcome, summary) = run("exit 0");
        assert_eq!((outcome, summary.matches(" ok ").count()), (Ok(()), 4));

        // The first step of one lane runs until the end of its stdin.
        let (outcome, summary) = run("case $1 in test) cat;; deny) exit 1;; esac");
        assert_eq!(outcome.unwrap_err(), "step deny failed (alone: cargo xtask deny)");
        for (step, outcome) in
            [("test", "stopped"), ("interop", "not run"), ("deny", "FAILED"), ("install", "not run")]
        {
            assert!(summary.contains(&format!("{step:15} {outcome}")), "{step} {outcome} is not in{summary}");
        }
    }
}
