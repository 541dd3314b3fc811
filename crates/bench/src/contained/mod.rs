//! `cargo xtask bench --contained`: what `i2p-socks exec` costs, beside the SOCKS port.

pub(crate) mod client;
mod outcome;
mod way;
mod worker;

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use programs::Workspace;

use self::{
    client::Order,
    outcome::{Outcome, Row},
    way::Way,
    worker::Worker,
};
use crate::{
    first_byte::no_tun,
    growth::stable_memory,
    in_lab::in_lab,
    measure::Direction,
    plan::{MANY, Plan},
    running::{Running, Setup},
    section::Section,
    subject::Subject,
    workloads::{MIN_CPU_TIME, read_after_window},
};

/// The section of the page about this.
pub(crate) const SECTION: Section = Section {
    heading: "## A contained program\n",
    next_heading: "## A page with 30 objects\n",
    explanation: include_str!("explanation.md"),
    table_heading: TABLE_HEADING,
};
const TABLE_HEADING: &str = "### Beside the SOCKS port";

/// Measures, and returns and prints the table. Blocks.
pub(crate) fn measure(workspace: &Workspace, plan: &'static Plan) -> Result<String> {
    if let Some(reason) = no_tun() {
        let text = format!(
            "{TABLE_HEADING}\n\nNot measured: it needs TUN, which this machine does not have ({reason}).\n"
        );
        println!("\n{text}");
        return Ok(text);
    }
    let outcome = in_lab(workspace, move |workspace, lab| {
        let setup = Setup::new(workspace, lab, plan, None)?;
        let mut outcome = Outcome::default();
        for round in 1..=plan.rounds {
            measure_round(&setup, plan, &mut outcome)?;
            println!("round {round} of {}\n{}", plan.rounds, outcome.table());
        }
        Ok(outcome)
    })?;
    let text = format!("{TABLE_HEADING}\n\n{}", outcome.table());
    println!("\n{text}");
    Ok(text)
}

fn measure_round(setup: &Setup, plan: &Plan, outcome: &mut Outcome) -> Result<()> {
    let proxy = setup.start(Subject::Ours)?;
    for direction in Direction::ALL {
        for count in [1, MANY] {
            for way in Way::ALL {
                bulk(setup, &proxy, (way, direction, count), plan, outcome).context(way.title())?;
            }
        }
    }
    for way in Way::ALL {
        let mut worker = Worker::start(setup, &proxy, way)?;
        let median: f64 = worker.ask(Order::RoundTrips(plan.round_trips))?.parse()?;
        outcome.record(Row::RoundTrip, way, median)?;
    }
    for _ in 0..plan.starts {
        let mut namespaces = Command::new("unshare");
        namespaces
            .args("--user --map-root-user --net --mount --uts --ipc --cgroup --pid --fork true".split(' '));
        outcome.record(Row::Start, Way::Socks, run_to_end(&mut namespaces)?)?;
        for way in [Way::Proxy, Way::Own] {
            let mut command = way.exec(setup)?;
            command.args(["--", "true"]);
            outcome.record(Row::Start, way, run_to_end(&mut command)?)?;
        }
    }
    drop(proxy);
    measure_memory(setup, plan.idle, outcome)
}

/// Measures what idle connections hold, each time of a new proxy: one that has worked before has memory left.
fn measure_memory(setup: &Setup, idle: usize, outcome: &mut Outcome) -> Result<()> {
    for way in Way::ALL {
        let proxy = setup.start(Subject::Ours)?;
        let of_proxy = proxy.processes.as_ref().context("the proxy has no processes")?;
        let mut worker = Worker::start(setup, &proxy, way)?;
        let mut hold = |count| -> Result<[f64; 2]> {
            worker.ask(Order::Hold(count))?;
            let memory = |processes| anyhow::Ok(stable_memory(processes)? as f64 / 1024.0);
            Ok([memory(of_proxy)?, memory(&worker.processes)?])
        };
        let (least, most) = (hold(1)?, hold(idle)?);
        let per_connection = |least: f64, most: f64| (most - least) / (idle - 1) as f64;
        let ([of_proxy, of_exec], [most_of_proxy, most_of_exec]) = (least, most);
        if way != Way::Own {
            outcome.record(Row::ProxyMemory(idle), way, per_connection(of_proxy, most_of_proxy))?;
        }
        if way != Way::Socks {
            outcome.record(Row::IdleMemory(idle), way, per_connection(of_exec, most_of_exec))?;
        }
    }
    Ok(())
}

/// The time in ms from the start of a program to its end.
fn run_to_end(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status()?;
    let time = start.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(time.as_secs_f64() * 1e3)
}

/// How many connections are opened beside bulk data.
const OPENED_BESIDE: u64 = 20;
/// Places in [`Reading::cpu`].
const EXEC: usize = 0;
const PROXY: usize = 1;

/// The clock, the bytes and the CPU time at one moment.
struct Reading {
    time: Instant,
    bytes: u64,
    /// Of `exec`, and of the proxy.
    cpu: [Duration; 2],
}

/// Transfers bulk data, and records its rate and its cost.
fn bulk(
    setup: &Setup,
    proxy: &Running,
    (way, direction, count): (Way, Direction, usize),
    plan: &Plan,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut worker = Worker::start(setup, proxy, way)?;
    worker.ask(Order::Bulk(direction, count))?;
    thread::sleep(plan.ramp);
    let proxy = proxy.processes.as_ref().context("it has no process")?;
    let mut read = || -> Result<Reading> {
        let down: u64 = worker.ask(Order::Bytes)?.parse()?;
        let bytes = down + setup.service.received();
        Ok(Reading { time: Instant::now(), bytes, cpu: [worker.processes.cpu()?, proxy.cpu()?] })
    };
    let start = read()?;
    // What works in each way.
    let measured = if way == Way::Socks { PROXY } else { EXEC };
    let spent = |end: &Reading, which: usize| -> Duration {
        let [before, after] =
            [&start, end].map(|reading| reading.cpu.get(which).copied().unwrap_or_default());
        after.saturating_sub(before)
    };
    let end =
        read_after_window(plan, read, |end| spent(end, measured) >= MIN_CPU_TIME && end.bytes > start.bytes)?;
    if (direction, count) == (Direction::Both, MANY) {
        let median: f64 = worker.ask(Order::Open(OPENED_BESIDE))?.parse()?;
        outcome.record(Row::OpenBeside(count), way, median)?;
    }
    let gibibytes = (end.bytes - start.bytes) as f64 / f64::from(1 << 30);
    let throughput = gibibytes / (end.time - start.time).as_secs_f64();
    outcome.record(Row::Throughput(direction, count), way, throughput)?;
    let per_gibibyte = |which| spent(&end, which).as_secs_f64() / gibibytes;
    if way != Way::Own {
        outcome.record(Row::ProxyCpu(direction, count), way, per_gibibyte(PROXY))?;
    }
    if way != Way::Socks {
        outcome.record(Row::Cpu(direction, count), way, per_gibibyte(EXEC))?;
    }
    Ok(())
}
