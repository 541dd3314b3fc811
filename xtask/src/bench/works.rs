//! The works: bulk data, small messages, connections in a loop.

use std::{
    net::Shutdown,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use super::{
    client::{Link, Route},
    measure::Direction,
    plan::{MANY, Plan},
    processes::Processes,
    service::{self, Job, Service},
    subjects::Running,
};

/// CPU time of a proxy that is enough to be told from the steps that the kernel counts in.
const ENOUGH: Duration = Duration::from_millis(50);
/// When a machine that has no time for us is given up.
const LIMIT: Duration = Duration::from_secs(20);

/// What bulk data came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bulk {
    /// GiB per second, both directions together.
    pub(crate) throughput: f64,
    /// CPU-seconds of the proxy per GiB; nothing without a proxy.
    pub(crate) cpu: Option<f64>,
}

/// What a clock, the counters and the proxy say at one moment.
struct Moment {
    time: Instant,
    bytes: u64,
    cpu: Option<Duration>,
}

/// Bulk data over so many connections at once, until the window has passed.
pub(crate) fn bulk(running: &Running, direction: Direction, connections: usize, plan: &Plan) -> Result<Bulk> {
    let job = match direction {
        Direction::Down => Job::Send,
        Direction::Up => Job::Take,
        Direction::Both => Job::Both,
    };
    let mut links = (0..connections).map(|_| running.route.work(None)).collect::<Result<Vec<_>>>()?;
    links.iter_mut().try_for_each(|link| link.ask(job))?;
    let taken = AtomicU64::new(0);
    let service = &running.route.service;
    thread::scope(|scope| {
        for link in &links {
            let stream = link.stream();
            if direction != Direction::Up {
                scope.spawn(|| service::take(stream, &taken));
            }
            if direction != Direction::Down {
                scope.spawn(|| service::send(stream));
            }
        }
        let moments = watch(running.processes.as_ref(), service, &taken, plan);
        // Ends the threads. Those of an end that has gone by itself have ended already.
        links.iter().for_each(|link| drop(link.stream().shutdown(Shutdown::Both)));
        moments
    })
}

fn watch(proxy: Option<&Processes>, service: &Service, taken: &AtomicU64, plan: &Plan) -> Result<Bulk> {
    let now = || -> Result<Moment> {
        Ok(Moment {
            time: Instant::now(),
            bytes: taken.load(Ordering::Relaxed) + service.taken(),
            cpu: proxy.map(Processes::cpu).transpose()?,
        })
    };
    thread::sleep(plan.ramp);
    let start = now()?;
    let end = look(plan, now, |end| {
        let enough = end.cpu.zip(start.cpu).is_none_or(|(end, start)| end.saturating_sub(start) >= ENOUGH);
        enough && end.bytes > start.bytes
    })?;
    let gibibytes = (end.bytes - start.bytes) as f64 / f64::from(1 << 30);
    let cpu =
        end.cpu.zip(start.cpu).map(|(end, start)| (end.saturating_sub(start)).as_secs_f64() / gibibytes);
    Ok(Bulk { throughput: gibibytes / (end.time - start.time).as_secs_f64(), cpu })
}

/// Looks when the window has passed; again and again where that is not enough, as on a busy machine.
fn look<T>(plan: &Plan, mut look: impl FnMut() -> Result<T>, enough: impl Fn(&T) -> bool) -> Result<T> {
    let start = Instant::now();
    loop {
        thread::sleep(plan.window);
        let seen = look()?;
        if enough(&seen) || start.elapsed() > LIMIT {
            return Ok(seen);
        }
    }
}

/// How long so many small messages take there and back, one after the other on a link that echoes; in µs.
pub(crate) fn round_trips(link: &mut Link, count: u64) -> Result<Vec<f64>> {
    let time = |_| -> Result<f64> {
        let start = Instant::now();
        link.round_trip()?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    (0..count).map(time).collect()
}

/// Connections per second: [`MANY`] clients connect in a loop, and each hears the service's first byte and its end.
pub(crate) fn rate(route: &Route, plan: &Plan) -> Result<f64> {
    let (made, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let in_a_loop = || -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            route.greet()?;
            made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..MANY).map(|_| scope.spawn(in_a_loop)).collect();
        thread::sleep(plan.ramp);
        let now = || (Instant::now(), made.load(Ordering::Relaxed));
        let (start, before) = now();
        let seen = look(plan, || Ok(now()), |(_, after)| *after > before);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client broke"))??;
        }
        let (end, after) = seen?;
        Ok((after - before) as f64 / (end - start).as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{client::Way, subjects::Subject};

    fn direct() -> Running {
        let route = Route { way: Way::Straight, service: Service::start().unwrap() };
        Running { subject: Subject::Direct, route, processes: None, took: Duration::ZERO }
    }

    #[test]
    fn a_look_is_repeated_until_it_is_enough() {
        let plan = Plan { window: Duration::from_millis(1), ..Plan::SHORT };
        let mut looks = 0;
        let mut count = || {
            looks += 1;
            Ok(looks)
        };
        assert_eq!(look(&plan, &mut count, |looks| *looks == 3).unwrap(), 3);
        assert_eq!(look(&plan, &mut count, |_| true).unwrap(), 4);
    }

    #[test]
    fn every_work_comes_to_something_and_ends() {
        let (running, millisecond) = (direct(), Duration::from_millis(1));
        let plan = Plan { ramp: 10 * millisecond, window: 50 * millisecond, ..Plan::SHORT };
        for direction in Direction::ALL {
            let bulk = bulk(&running, direction, 2, &plan).unwrap();
            assert!(bulk.throughput > 0.0 && bulk.cpu.is_none(), "{direction}: {bulk:?}");
        }
        let mut link = running.route.work(None).unwrap();
        link.ask(Job::Echo(20)).unwrap();
        let times = round_trips(&mut link, 20).unwrap();
        assert!(times.len() == 20 && times.iter().all(|time| *time > 0.0), "{times:?}");
        assert!(rate(&running.route, &plan).unwrap() > 0.0);
    }
}
