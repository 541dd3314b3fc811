//! How cost grows: with connections that are held, and with sessions.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use super::{
    client::{Link, Route},
    measure::{Measure, Results},
    plan::Plan,
    processes::Processes,
    service::Job,
    subjects::{Setup, Subject},
};

/// Threads that open connections: a server that makes each wait 40 ms is not to hold up the run.
const OPENERS: usize = 32;
/// Memory is what it is when it has not become less for so many looks, so far apart.
const LOOKS: usize = 3;
const APART: Duration = Duration::from_millis(100);
/// Descriptors that a connection cannot do without.
const NEEDED: usize = 2;
/// How long it may become less.
const SETTLES: Duration = Duration::from_secs(5);
const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// Connections that are held by a fresh proxy, step by step, and then all used.
pub(crate) fn connections(setup: &Setup, subject: Subject, plan: &Plan, results: &mut Results) -> Result<()> {
    let running = setup.start(subject)?;
    let proxy = running.processes.as_ref().context("nobody holds no connections")?;
    let mut links = Vec::new();
    let mut first = None;
    for &count in plan.steps {
        links.extend(open(&running.route, count.saturating_sub(links.len()))?);
        let memory = settled(proxy)? as f64;
        let needed = first.filter(|_| count == plan.idle).map(|(one, _, few)| few + NEEDED * (count - one));
        let descriptors = rested(proxy, needed, plan.rest)?;
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
            let link = links.get_mut(turn % count).context("a connection too few")?;
            link.round_trip().with_context(|| format!("{count} connections, message {turn}"))?;
        }
        let cpu = (proxy.cpu()?.saturating_sub(start)).as_secs_f64() * 1e6 / messages as f64;
        results.record(Measure::MessageCpu(count), subject, cpu)?;
    }
    let alive = links.iter_mut().map(Link::round_trip).filter(Result::is_ok).count();
    results.record(Measure::Alive(links.len()), subject, alive as f64)
}

/// Sessions of ours, one more at each step: credentials make them.
pub(crate) fn sessions(setup: &Setup, plan: &Plan, results: &mut Results) -> Result<()> {
    let subject = Subject::Ours;
    let running = setup.start(subject)?;
    let proxy = running.processes.as_ref().context("ours is a process")?;
    let users: Vec<_> = (1..=plan.sessions).map(|number| format!("user{number}")).collect();
    let mut held = Vec::new();
    for (number, user) in (1..).zip(&users) {
        held.push(running.route.work(Some(user))?);
        results.record(Measure::SessionMemory(number), subject, settled(proxy)? as f64 / MIB)?;
        let start = proxy.cpu()?;
        for user in users.iter().take(number).cycle().take(plan.session_connections) {
            running.route.work(Some(user))?;
        }
        let cpu = (proxy.cpu()?.saturating_sub(start)).as_secs_f64() * 1e6 / plan.session_connections as f64;
        results.record(Measure::SessionCpu(number), subject, cpu)?;
    }
    Ok(())
}

/// So many connections more, each of which has carried a message.
fn open(route: &Route, count: usize) -> Result<Vec<Link>> {
    let some = |opener: usize| -> Result<Vec<Link>> {
        let mine = (opener..count).step_by(OPENERS);
        mine.map(|_| {
            let mut link = route.work(None)?;
            link.ask(Job::Echo(u64::MAX))?;
            link.round_trip()?;
            Ok(link)
        })
        .collect()
    };
    thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS).map(|opener| scope.spawn(move || some(opener))).collect();
        let mut links = Vec::new();
        for opener in openers {
            links.extend(opener.join().map_err(|_| anyhow!("a client broke"))??);
        }
        Ok(links)
    })
}

/// Memory of the proxy when it has given back what it gives back.
fn settled(proxy: &Processes) -> Result<u64> {
    let start = Instant::now();
    let (mut least, mut looks) = (proxy.memory()?, 0);
    while looks < LOOKS && start.elapsed() < SETTLES {
        thread::sleep(APART);
        let memory = proxy.memory()?;
        looks = if memory < least { 0 } else { looks + 1 };
        least = least.min(memory);
    }
    Ok(least)
}

/// Descriptors of the proxy; where they are more than it needs, when it has closed what it closes without use.
fn rested(proxy: &Processes, needed: Option<usize>, patience: Duration) -> Result<usize> {
    let start = Instant::now();
    loop {
        let descriptors = proxy.descriptors()?;
        if needed.is_none_or(|needed| descriptors <= needed) || start.elapsed() >= patience {
            return Ok(descriptors);
        }
        thread::sleep(APART);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{client::Way, service::Service};

    #[test]
    fn as_many_connections_as_asked_for_and_each_answers() {
        let route = Route { way: Way::Straight, service: Service::start().unwrap() };
        for count in [0, 1, OPENERS + 5] {
            let mut links = open(&route, count).unwrap();
            assert_eq!(links.len(), count);
            links.iter_mut().for_each(|link| link.round_trip().unwrap());
        }
    }
}
