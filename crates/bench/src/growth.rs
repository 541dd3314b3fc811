//! Measures how cost grows with the number of held connections, and of sessions.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use crate::{
    client::{Client, Connection},
    measure::{Measure, Results},
    plan::Plan,
    processes::Processes,
    running::Setup,
    service::Job,
    subject::Subject,
};

/// Threads that open connections, so that a server that delays each by 40 ms does not delay the run.
const OPENERS: usize = 32;
/// Memory counts once it has not shrunk for this many readings.
const STABLE_READINGS: usize = 3;
const READING_INTERVAL: Duration = Duration::from_millis(100);
/// The descriptors that each connection needs.
const NEEDED_DESCRIPTORS: usize = 2;
/// How long memory may shrink.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);
const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// Lets a fresh proxy hold connections, step by step, and then uses all of them.
pub(crate) fn connections(setup: &Setup, subject: Subject, plan: &Plan, results: &mut Results) -> Result<()> {
    let running = setup.start(subject)?;
    let proxy = running.processes.as_ref().context("it has no process")?;
    let mut connections = Vec::new();
    let mut first = None;
    for &count in plan.steps {
        connections.extend(open(&running.client, count.saturating_sub(connections.len()))?);
        let memory = stable_memory(proxy)? as f64;
        let needed = first
            .filter(|_| count == plan.idle)
            .map(|(one, _, few)| few + NEEDED_DESCRIPTORS * (count - one));
        let descriptors = stable_descriptors(proxy, needed, plan.descriptor_timeout)?;
        results.record(Measure::Memory(count), subject, memory / MIB)?;
        let (one, least, few) = *first.get_or_insert((count, memory, descriptors));
        if count == plan.idle {
            let more = (count - one) as f64;
            results.record(Measure::IdleMemory(count), subject, (memory - least) / more / KIB)?;
            results.record(
                Measure::Descriptors(count),
                subject,
                descriptors.saturating_sub(few) as f64 / more,
            )?;
        }
        let messages = plan.messages.max(count);
        let start = proxy.cpu()?;
        for turn in 0..messages {
            // In turn, so that no connection is warmer than the others.
            let connection = connections.get_mut(turn % count).context("a connection is missing")?;
            connection.round_trip().with_context(|| format!("{count} connections, message {turn}"))?;
        }
        let cpu = (proxy.cpu()?.saturating_sub(start)).as_secs_f64() * 1e6 / messages as f64;
        results.record(Measure::MessageCpu(count), subject, cpu)?;
    }
    let alive = connections.iter_mut().map(Connection::round_trip).filter(Result::is_ok).count();
    results.record(Measure::Alive(connections.len()), subject, alive as f64)
}

/// Lets our proxy open sessions, one more at each step, with credentials.
pub(crate) fn sessions(setup: &Setup, plan: &Plan, results: &mut Results) -> Result<()> {
    let subject = Subject::Ours;
    let running = setup.start(subject)?;
    let proxy = running.processes.as_ref().context("it has no process")?;
    let users: Vec<_> = (1..=plan.sessions).map(|number| format!("user{number}")).collect();
    let mut held = Vec::new();
    for (number, user) in (1..).zip(&users) {
        held.push(running.client.connect(Some(user))?);
        results.record(Measure::SessionMemory(number), subject, stable_memory(proxy)? as f64 / MIB)?;
        let start = proxy.cpu()?;
        for user in users.iter().take(number).cycle().take(plan.session_connections) {
            running.client.connect(Some(user))?;
        }
        let cpu = (proxy.cpu()?.saturating_sub(start)).as_secs_f64() * 1e6 / plan.session_connections as f64;
        results.record(Measure::SessionCpu(number), subject, cpu)?;
    }
    Ok(())
}

/// Opens connections and sends a message over each.
fn open(client: &Client, count: usize) -> Result<Vec<Connection>> {
    let open_share = |opener: usize| -> Result<Vec<Connection>> {
        let share = (opener..count).step_by(OPENERS);
        share
            .map(|_| {
                let mut connection = client.connect(None)?;
                connection.send_job(Job::Echo(u64::MAX))?;
                connection.round_trip()?;
                Ok(connection)
            })
            .collect()
    };
    thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS).map(|opener| scope.spawn(move || open_share(opener))).collect();
        let mut connections = Vec::new();
        for opener in openers {
            connections.extend(opener.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok(connections)
    })
}

/// The memory of the proxy once it has stopped shrinking.
pub(crate) fn stable_memory(proxy: &Processes) -> Result<u64> {
    let start = Instant::now();
    let (mut least, mut readings) = (proxy.memory()?, 0);
    while readings < STABLE_READINGS && start.elapsed() < MEMORY_TIMEOUT {
        thread::sleep(READING_INTERVAL);
        let memory = proxy.memory()?;
        readings = if memory < least { 0 } else { readings + 1 };
        least = least.min(memory);
    }
    Ok(least)
}

/// The descriptors of the proxy. If it has more than it needs, waits until it has closed unused ones.
fn stable_descriptors(proxy: &Processes, needed: Option<usize>, timeout: Duration) -> Result<usize> {
    let start = Instant::now();
    loop {
        let descriptors = proxy.descriptors()?;
        if needed.is_none_or(|needed| descriptors <= needed) || start.elapsed() >= timeout {
            return Ok(descriptors);
        }
        thread::sleep(READING_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Access, service::Service};

    #[test]
    fn all_connections_are_opened_and_each_one_works() {
        let client = Client { access: Access::Direct, service: Service::start().unwrap() };
        for count in [0, 1, OPENERS + 5] {
            let mut connections = open(&client, count).unwrap();
            assert_eq!(connections.len(), count);
            connections.iter_mut().for_each(|connection| connection.round_trip().unwrap());
        }
    }
}
