//! `cargo xtask bench`: ours beside other SOCKS servers and a bare relay, on the same work in one run.
//!
//! Like interop, it runs twice: outside, where it builds and finds the programs; and inside a network and process namespace,
//! where nothing else is. It says how it went and never fails for it; it fails when something does not run, or when a number
//! cannot be.

mod address_book;
mod bridge;
mod client;
mod first_byte;
mod growth;
mod measure;
mod page;
mod plan;
mod plot;
mod processes;
mod service;
mod statistics;
mod subjects;
mod table;
mod targets;
mod works;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use self::{
    bridge::Bridge,
    client::Link,
    first_byte::Latency,
    measure::{Direction, Measure, Results},
    page::Circumstances,
    plan::{MANY, Plan},
    service::{Job, Service},
    subjects::{Running, Setup, Subject},
};
use crate::{
    Workspace,
    lab::namespace::{self, INSIDE, NETWORK_AND_PROCESSES},
    programs::{self, Program},
};

/// The chore's name.
pub(crate) const NAME: &str = "bench";
/// What makes it small.
const SHORT: &str = "--short";
/// What makes it write the page.
const WRITE: &str = "--write";
/// What it runs beside the subjects.
const PROGRAMS: [Program; 2] = [("ip", "iproute2"), ("unshare", "util-linux")];
/// What leaves nothing of it but the link with latency.
const LINK: &str = "--link";
/// The ports that connections come from: thousands in a second, each kept for a while after its end (ip-sysctl).
const PORT_RANGE: (&str, &str) = ("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000\n");

/// What the chore with these arguments does, outside and inside; nothing when there is no such chore.
pub(crate) fn chore(arguments: &[&str]) -> Option<fn(&Workspace) -> Result<()>> {
    Some(match arguments {
        [] => |workspace| outside(workspace, &[]),
        [SHORT] => short,
        [WRITE] => |workspace| outside(workspace, &[WRITE]),
        [LINK] => |workspace| outside(workspace, &[LINK]),
        [INSIDE] => |workspace| inside(workspace, &Plan::FULL, false),
        [INSIDE, SHORT] => |workspace| inside(workspace, &Plan::SHORT, false),
        [INSIDE, WRITE] => |workspace| inside(workspace, &Plan::FULL, true),
        [INSIDE, LINK] => inside_link,
        _ => return None,
    })
}

/// Outside, and small: what CI does.
pub(crate) fn short(workspace: &Workspace) -> Result<()> {
    outside(workspace, &[SHORT])
}

fn outside(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    programs::provide(&[&PROGRAMS[..], &subjects::PROGRAMS].concat(), workspace)?;
    subjects::build(workspace)?;
    namespace::run_inside(workspace, NAME, arguments, NETWORK_AND_PROCESSES)
}

fn inside(workspace: &Workspace, plan: &'static Plan, write: bool) -> Result<()> {
    ensure!(namespace::is_inside(), "{INSIDE} is what the bench says to itself; run cargo xtask {NAME}");
    let circumstances = Circumstances::look(workspace)?;
    let (results, latency) = in_lab(workspace, move |workspace, lab| measure(workspace, lab, plan))?;
    println!("\n{}", page::summary(&results, plan, &latency));
    if write { page::write(workspace, &results, plan, &circumstances, &latency) } else { Ok(()) }
}

fn inside_link(workspace: &Workspace) -> Result<()> {
    ensure!(namespace::is_inside(), "{INSIDE} is what the bench says to itself; run cargo xtask {NAME}");
    let (results, latency) = in_lab(workspace, |workspace, lab| {
        let mut results = Results::default();
        let latency = first_byte::measure(workspace, lab, &Plan::FULL, &mut results)?;
        Ok((results, latency))
    })?;
    println!("\n{}", page::first_byte(&results, &latency));
    Ok(())
}

/// Does `work` in a directory that stays when it fails.
fn in_lab<T: Send + 'static>(
    workspace: &Workspace,
    work: impl FnOnce(&Workspace, &Path) -> Result<T> + Send + 'static,
) -> Result<T> {
    let parent = workspace.target().join(NAME);
    fs::create_dir_all(&parent).with_context(|| format!("could not make {}", parent.display()))?;
    let lab =
        tempfile::Builder::new().prefix("lab-").tempdir_in(&parent).context("no directory for the lab")?;
    let runtime = Runtime::new().context("no runtime")?;
    let (ours, directory) = (workspace.clone(), lab.path().to_path_buf());
    let measured = runtime.block_on(async {
        let measuring = tokio::task::spawn_blocking(move || work(&ours, &directory));
        tokio::select! {
            result = measuring => Some(result),
            () = namespace::outside_is_gone() => None,
        }
    });
    // What still runs ends with the process.
    runtime.shutdown_background();
    let result = measured.context("interrupted")?.context("the bench itself broke")?;
    if result.is_err() {
        eprintln!("logs of the subjects: {}", lab.keep().display());
    }
    result
}

/// All rounds, and then what has a network of its own.
fn measure(workspace: &Workspace, lab: &Path, plan: &Plan) -> Result<(Results, Latency)> {
    namespace::set_up(&[])?;
    let (file, range) = PORT_RANGE;
    fs::write(file, range).with_context(|| format!("could not write {file}"))?;
    processes::allow_descriptors(plan.descriptors())?;
    let service = Service::start()?;
    let bridge = Bridge::start(&service)?;
    let setup = Setup { workspace: workspace.clone(), lab: lab.to_path_buf(), service, bridge };
    let mut results = Results::default();
    for round in 1..=plan.rounds {
        println!("round {round} of {}", plan.rounds);
        at_once(&setup, plan, &mut results)?;
        for subject in Subject::ALL.into_iter().filter(|subject| subject.is_proxy()) {
            let grown = growth::connections(&setup, subject, plan, &mut results);
            grown.with_context(|| format!("{} holds connections", subject.title()))?;
        }
        println!("{}", page::progress(&results, Measure::IdleMemory(plan.idle)));
        growth::sessions(&setup, plan, &mut results).context("sessions")?;
        for _ in 0..plan.starts {
            let took = setup.start(Subject::Ours)?.took.as_secs_f64() * 1e3;
            results.record(Measure::Start, Subject::Ours, took)?;
        }
        println!("{}", page::progress(&results, Measure::Start));
    }
    for subject in Subject::ALL.into_iter().filter(|subject| *subject != Subject::Direct) {
        let size = subjects::size(&subject.program(workspace)?)? as f64 / 1e6;
        results.record(Measure::Size, subject, size)?;
    }
    address_book::measure(workspace, plan, &mut results).context("the address book")?;
    println!("{}", page::book(&results));
    let latency = first_byte::measure(workspace, lab, plan, &mut results).context("the link with latency")?;
    println!("{}", page::first_byte(&results, &latency));
    Ok((results, latency))
}

/// A round of the works for which all subjects run side by side and take turns.
fn at_once(setup: &Setup, plan: &Plan, results: &mut Results) -> Result<()> {
    let running = Subject::ALL.into_iter().map(|subject| setup.start(subject)).collect::<Result<Vec<_>>>()?;
    let each = |work: &mut dyn FnMut(&Running) -> Result<()>| -> Result<()> {
        running.iter().try_for_each(|one| work(one).with_context(|| one.subject.title()))
    };
    for connections in [1, MANY] {
        for direction in Direction::ALL {
            let (cpu, throughput) =
                (Measure::Cpu(direction, connections), Measure::Throughput(direction, connections));
            each(&mut |one| {
                let bulk = works::bulk(one, direction, connections, plan)?;
                results.record(throughput, one.subject, bulk.throughput)?;
                bulk.cpu.map_or(Ok(()), |seconds| results.record(cpu, one.subject, seconds))
            })?;
            println!("{}\n{}", page::progress(results, cpu), page::progress(results, throughput));
        }
    }
    round_trips(&running, plan, results)?;
    println!("{}", page::progress(results, Measure::RoundTrip));
    each(&mut |one| results.record(Measure::Rate, one.subject, works::rate(&one.route, plan)?))?;
    println!("{}", page::progress(results, Measure::Rate));
    Ok(())
}

/// Small messages: some by each subject in turn, again and again, so that noise hits all alike.
fn round_trips(running: &[Running], plan: &Plan, results: &mut Results) -> Result<()> {
    let linked = |one: &Running| -> Result<(Subject, Link, Vec<f64>)> {
        let mut link = one.route.work(None)?;
        link.ask(Job::Echo(u64::MAX))?;
        Ok((one.subject, link, Vec::new()))
    };
    let mut links = running.iter().map(linked).collect::<Result<Vec<_>>>()?;
    for _ in 0..plan.turns {
        for (subject, link, times) in &mut links {
            let more = works::round_trips(link, plan.round_trips);
            times.extend(more.with_context(|| format!("{}: round trips", subject.title()))?);
        }
    }
    let of = |times: &[f64], percent| statistics::percentile(times, percent).context("no round trip");
    let direct = links.iter().find(|(subject, ..)| *subject == Subject::Direct);
    let direct = of(&direct.context("no direct way")?.2, 50)?;
    for (subject, _, times) in &links {
        let median = of(times, 50)?;
        results.record(Measure::RoundTrip, *subject, median)?;
        results.record(Measure::RoundTripTail, *subject, of(times, 99)?)?;
        if *subject != Subject::Direct {
            results.record(Measure::Added, *subject, median - direct)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chore_is_short_or_written_and_not_both() {
        for known in [
            &[][..],
            &[SHORT],
            &[WRITE],
            &[INSIDE],
            &[INSIDE, SHORT],
            &[INSIDE, WRITE],
            &[LINK],
            &[INSIDE, LINK],
        ] {
            assert!(chore(known).is_some(), "{known:?}");
        }
        for unknown in [&[SHORT, WRITE][..], &["--long"], &[INSIDE, INSIDE], &[SHORT, INSIDE]] {
            assert!(chore(unknown).is_none(), "{unknown:?}");
        }
    }
}
