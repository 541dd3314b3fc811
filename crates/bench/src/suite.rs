//! The order of the measurements.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use programs::Workspace;

use crate::{
    address_book,
    client::Connection,
    first_byte::{self, LinkCheck},
    growth,
    in_lab::in_lab,
    measure::{Direction, Measure, Results},
    page::{self, Environment},
    plan::{MANY, Plan},
    running::{self, Running, Setup},
    service::Job,
    statistics,
    subject::Subject,
    table, workloads,
};

/// Measures everything and prints it.
pub(crate) fn print_all(workspace: &Workspace, plan: &'static Plan) -> Result<()> {
    let (results, link) = in_lab(workspace, move |workspace, lab| measure(workspace, lab, plan))?;
    println!("\n{}", page::summary(&results, plan, &link));
    Ok(())
}

/// Measures everything, prints it and writes the page.
pub(crate) fn write_page(workspace: &Workspace) -> Result<()> {
    let environment = Environment::of_this_machine(workspace)?;
    let plan = &Plan::FULL;
    let (results, link) = in_lab(workspace, move |workspace, lab| measure(workspace, lab, plan))?;
    println!("\n{}", page::summary(&results, plan, &link));
    page::write(workspace, &results, plan, &environment, &link)
}

/// Measures and prints only the time to first byte on the link with latency.
pub(crate) fn print_link(workspace: &Workspace) -> Result<()> {
    let (results, link) = in_lab(workspace, |workspace, lab| {
        let mut results = Results::default();
        let link = first_byte::measure(workspace, lab, &Plan::FULL, &mut results)?;
        Ok((results, link))
    })?;
    println!("\n{}", page::first_byte(&results, &link));
    Ok(())
}

/// Measures our proxy beside the one of an earlier commit, and prints both.
pub(crate) fn print_comparison(workspace: &Workspace, before: PathBuf) -> Result<()> {
    let results = in_lab(workspace, move |workspace, lab| {
        let plan = &Plan::FULL;
        let setup = Setup::new(workspace, lab, plan, Some(before))?;
        let mut results = Results::default();
        for round in 1..=plan.rounds {
            println!("round {round} of {}", plan.rounds);
            compare_round(&setup, plan, &mut results)?;
        }
        Ok(results)
    })?;
    println!("\n{}", table::comparison(&results));
    Ok(())
}

/// A round of everything that both can do.
fn compare_round(setup: &Setup, plan: &Plan, results: &mut Results) -> Result<()> {
    measure_side_by_side(setup, &Subject::COMPARISON, plan, results)?;
    let both = [Subject::Ours, Subject::Before];
    for subject in both {
        let measured = growth::connections(setup, subject, plan, results);
        measured.with_context(|| format!("{} holds connections", subject.title()))?;
    }
    for _ in 0..plan.starts {
        both.into_iter().try_for_each(|subject| measure_start(setup, subject, results))?;
    }
    Ok(())
}

/// Measures all rounds, and then what has a network of its own.
fn measure(workspace: &Workspace, lab: &Path, plan: &Plan) -> Result<(Results, LinkCheck)> {
    let setup = Setup::new(workspace, lab, plan, None)?;
    let mut results = Results::default();
    for round in 1..=plan.rounds {
        println!("round {round} of {}", plan.rounds);
        measure_round(&setup, plan, &mut results)?;
    }
    for subject in Subject::ALL.into_iter().filter(|subject| *subject != Subject::Direct) {
        let size = running::program_bytes(&running::program(subject, workspace)?)? as f64 / 1e6;
        results.record(Measure::Size, subject, size)?;
    }
    address_book::measure(workspace, plan, &mut results).context("the address book")?;
    println!("{}", page::book(&results));
    let link = first_byte::measure(workspace, lab, plan, &mut results).context("the link with latency")?;
    println!("{}", page::first_byte(&results, &link));
    Ok((results, link))
}

fn measure_round(setup: &Setup, plan: &Plan, results: &mut Results) -> Result<()> {
    measure_side_by_side(setup, &Subject::ALL, plan, results)?;
    for subject in Subject::ALL.into_iter().filter(|subject| subject.is_proxy()) {
        let measured = growth::connections(setup, subject, plan, results);
        measured.with_context(|| format!("{} holds connections", subject.title()))?;
    }
    println!("{}", page::progress(results, Measure::IdleMemory(plan.idle)));
    growth::sessions(setup, plan, results).context("sessions")?;
    for _ in 0..plan.starts {
        measure_start(setup, Subject::Ours, results)?;
    }
    println!("{}", page::progress(results, Measure::Start));
    Ok(())
}

fn measure_start(setup: &Setup, subject: Subject, results: &mut Results) -> Result<()> {
    results.record(Measure::Start, subject, setup.start(subject)?.start_time.as_secs_f64() * 1e3)
}

/// The workloads for which all subjects run at the same time and take turns.
fn measure_side_by_side(
    setup: &Setup,
    subjects: &[Subject],
    plan: &Plan,
    results: &mut Results,
) -> Result<()> {
    let running = subjects.iter().map(|&subject| setup.start(subject)).collect::<Result<Vec<_>>>()?;
    let each = |work: &mut dyn FnMut(&Running) -> Result<()>| -> Result<()> {
        running.iter().try_for_each(|one| work(one).with_context(|| one.subject.title()))
    };
    for connections in [1, MANY] {
        for direction in Direction::ALL {
            let (cpu, throughput) =
                (Measure::Cpu(direction, connections), Measure::Throughput(direction, connections));
            each(&mut |one| {
                let bulk = workloads::bulk(one, direction, connections, plan)?;
                results.record(throughput, one.subject, bulk.throughput)?;
                bulk.cpu.map_or(Ok(()), |seconds| results.record(cpu, one.subject, seconds))
            })?;
            println!("{}\n{}", page::progress(results, cpu), page::progress(results, throughput));
        }
    }
    measure_round_trips(&running, plan, results)?;
    println!("{}", page::progress(results, Measure::RoundTrip));
    each(&mut |one| results.record(Measure::Rate, one.subject, workloads::rate(&one.client, plan)?))?;
    println!("{}", page::progress(results, Measure::Rate));
    Ok(())
}

/// Sends small messages through each subject in turn, again and again, so that noise hits all alike.
fn measure_round_trips(running: &[Running], plan: &Plan, results: &mut Results) -> Result<()> {
    let connect = |one: &Running| -> Result<(Subject, Connection, Vec<f64>)> {
        let mut connection = one.client.connect(None)?;
        connection.send_job(Job::Echo(u64::MAX))?;
        Ok((one.subject, connection, Vec::new()))
    };
    let mut connections = running.iter().map(connect).collect::<Result<Vec<_>>>()?;
    for _ in 0..plan.turns {
        for (subject, connection, times) in &mut connections {
            let more = workloads::round_trips(connection, plan.round_trips);
            times.extend(more.with_context(|| format!("{}: round trips", subject.title()))?);
        }
    }
    let percentile = |times: &[f64], percent| statistics::percentile(times, percent).context("no round trip");
    let direct = connections.iter().find(|(subject, ..)| *subject == Subject::Direct);
    let direct = percentile(&direct.context("no direct connection")?.2, 50)?;
    for (subject, _, times) in &connections {
        let median = percentile(times, 50)?;
        results.record(Measure::RoundTrip, *subject, median)?;
        results.record(Measure::RoundTripTail, *subject, percentile(times, 99)?)?;
        if *subject != Subject::Direct {
            results.record(Measure::Added, *subject, median - direct)?;
        }
    }
    Ok(())
}
