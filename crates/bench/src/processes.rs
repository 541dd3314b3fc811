//! The CPU time, memory and descriptors of a program, with all processes that it has started.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit},
};

/// A running program with its children. Dropping it kills them.
pub(crate) struct Processes {
    root: Child,
    /// The name of those that do not count.
    ignored: Option<&'static str>,
}

/// The fields of `/proc/PID/stat` that matter here (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Its first 15 bytes.
    name: String,
    parent: u32,
    /// Clock ticks in user and kernel mode, of the process and of its children that have exited.
    ticks: u64,
}

impl Processes {
    /// Starts the program.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let root = command
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        Ok(Self { root, ignored: None })
    }

    /// Does not count processes with this name: those of another program that it runs.
    pub(crate) fn ignoring(mut self, name: &'static str) -> Self {
        self.ignored = Some(name);
        self
    }

    /// The process that was started, for its pipes.
    pub(crate) fn root(&mut self) -> &mut Child {
        &mut self.root
    }

    /// Fails if the program has exited.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.root.try_wait()?.map_or(Ok(()), |status| bail!("it has exited ({status})"))
    }

    /// The CPU time so far in user and kernel mode. The kernel counts it in clock ticks, 10 ms on most machines.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let ticks: u64 = self.counted()?.iter().map(|(_, stat)| stat.ticks).sum();
        let per_second = clock_ticks_per_second();
        Ok(Duration::from_millis(ticks.saturating_mul(1000) / per_second.max(1)))
    }

    /// The resident memory in bytes. A page that several processes share counts once (`Pss` of `smaps_rollup`).
    pub(crate) fn memory(&self) -> Result<u64> {
        let mut sum = 0;
        for (process, _) in self.counted()? {
            // A process that has just exited holds nothing.
            let Ok(text) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else { continue };
            sum += kibibytes(&text, "Pss:").with_context(|| format!("no Pss of process {process}"))? * 1024;
        }
        Ok(sum)
    }

    /// The number of open file descriptors.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let of = |process: &u32| fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        Ok(self.counted()?.iter().map(|(process, _)| of(process)).sum())
    }

    /// Those of the family that count.
    fn counted(&self) -> Result<Vec<(u32, Stat)>> {
        let mut family = self.family()?;
        family.retain(|(_, stat)| self.ignored.is_none_or(|name| stat.name != name));
        Ok(family)
    }

    /// The program and its descendants.
    fn family(&self) -> Result<Vec<(u32, Stat)>> {
        let mut others = all()?;
        let mut family = Vec::new();
        let mut parents = vec![self.root.id()];
        let root = others.iter().position(|(process, _)| *process == self.root.id());
        family.push(others.swap_remove(root.context("the program has exited")?));
        while let Some(parent) = parents.pop() {
            let (children, rest): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|(_, stat)| stat.parent == parent);
            parents.extend(children.iter().map(|(process, _)| process));
            family.extend(children);
            others = rest;
        }
        Ok(family)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (process, _) in self.family().unwrap_or_default() {
            let id = i32::try_from(process).ok().and_then(Pid::from_raw);
            // A process that has just exited needs no signal.
            let _ = id.map(|id| kill_process(id, Signal::KILL));
        }
        let _ = self.root.wait();
    }
}

/// All processes that are visible here.
fn all() -> Result<Vec<(u32, Stat)>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").context("no /proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // A process that has just exited has no line.
        processes.extend(parse(&stat).map(|stat| (id, stat)));
    }
    Ok(processes)
}

/// Parses a line of `/proc/PID/stat`. Its second field is a name in parentheses, which may itself contain parentheses.
fn parse(stat: &str) -> Option<Stat> {
    let (start, fields) = stat.rsplit_once(')')?;
    let (_, name) = start.split_once('(')?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // State is field 3 of proc(5) and the first here; parent 4, utime 14, stime 15, cutime 16, cstime 17.
    let ticks = (11..15).map(number).sum::<Option<u64>>()?;
    Some(Stat { name: name.to_owned(), parent: u32::try_from(number(1)?).ok()?, ticks })
}

/// Reads a value of `smaps_rollup`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Allows this process and its children this many file descriptors.
pub(crate) fn allow_descriptors(count: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(count));
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum })
        .with_context(|| format!("{count} file descriptors are needed: ulimit -n {count}, or run as root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_parentheses_in_the_name() {
        let line = "7 (a) S 9 (b) R 3 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 1000 100";
        assert_eq!(parse(line), Some(Stat { name: "a) S 9 (b".into(), parent: 3, ticks: 110 }));
        assert_eq!(parse("7 (a) R 3"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_value_of_smaps_rollup() {
        let text = "00400000-7ff 00:00 0 [rollup]\nRss:            1234 kB\nPss:             567 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(kibibytes(text, "Pss:"), Some(567));
        assert_eq!(kibibytes(text, "Swap:"), None);
    }

    #[test]
    fn a_program_counts_with_its_children_and_ends_with_them() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]).stdout(std::process::Stdio::piped());
        let mut processes = Processes::start(&mut command).unwrap();
        let mut line = String::new();
        let stdout = processes.root().stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        let child: u32 = line.trim().parse().unwrap();
        let family = processes.family().unwrap();
        assert_eq!(family.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [processes.root.id(), child]);
        assert!(processes.memory().unwrap() > 0 && processes.descriptors().unwrap() >= 6);
        let processes = processes.ignoring("sleep");
        let counted: Vec<_> = processes.counted().unwrap().iter().map(|(id, _)| *id).collect();
        assert_eq!(counted, [processes.root.id()]);
        drop(processes);
        assert!(died(child));
    }

    /// Returns whether a process is gone, or a zombie, within a second. SIGKILL is delivered when the process runs next.
    fn died(process: u32) -> bool {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            if state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X'])) {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }
}
