//! The workloads: bulk data, small messages, connections in a loop.

use std::{
    net::Shutdown,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use crate::{
    client::{Client, Connection},
    measure::Direction,
    plan::{MANY, Plan},
    processes::Processes,
    running::Running,
    service::{self, Job, Service},
};

/// The least CPU time to measure: the kernel counts in steps of 10 ms.
pub(crate) const MIN_CPU_TIME: Duration = Duration::from_millis(50);
/// How long to wait for enough work on a busy machine.
const MAX_WINDOW: Duration = Duration::from_secs(20);

/// The result of bulk data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bulk {
    /// GiB per second, both directions together.
    pub(crate) throughput: f64,
    /// CPU-seconds of the proxy per GiB. Nothing without a proxy.
    pub(crate) cpu: Option<f64>,
}

/// The clock and the counters at one moment.
struct Reading {
    time: Instant,
    bytes: u64,
    cpu: Option<Duration>,
}

/// What the service is asked for.
pub(crate) fn job(direction: Direction) -> Job {
    match direction {
        Direction::Down => Job::Send,
        Direction::Up => Job::Receive,
        Direction::Both => Job::Both,
    }
}

/// Sends bulk data over this many connections at once, until the window has passed.
pub(crate) fn bulk(running: &Running, direction: Direction, count: usize, plan: &Plan) -> Result<Bulk> {
    let job = job(direction);
    let mut connections = (0..count).map(|_| running.client.connect(None)).collect::<Result<Vec<_>>>()?;
    connections.iter_mut().try_for_each(|connection| connection.send_job(job))?;
    let received = AtomicU64::new(0);
    let service = &running.client.service;
    thread::scope(|scope| {
        for connection in &connections {
            let stream = connection.stream();
            if direction != Direction::Up {
                scope.spawn(|| service::receive(stream, &received));
            }
            if direction != Direction::Down {
                scope.spawn(|| service::send(stream));
            }
        }
        let bulk = measure_bulk(running.processes.as_ref(), service, &received, plan);
        // Ends the threads.
        for connection in &connections {
            // Fails if the other side has closed already.
            let _ = connection.stream().shutdown(Shutdown::Both);
        }
        bulk
    })
}

fn measure_bulk(
    proxy: Option<&Processes>,
    service: &Service,
    received: &AtomicU64,
    plan: &Plan,
) -> Result<Bulk> {
    let read = || -> Result<Reading> {
        Ok(Reading {
            time: Instant::now(),
            bytes: received.load(Ordering::Relaxed) + service.received(),
            cpu: proxy.map(Processes::cpu).transpose()?,
        })
    };
    thread::sleep(plan.ramp);
    let start = read()?;
    let end = read_after_window(plan, read, |end| {
        let enough =
            end.cpu.zip(start.cpu).is_none_or(|(end, start)| end.saturating_sub(start) >= MIN_CPU_TIME);
        enough && end.bytes > start.bytes
    })?;
    let gibibytes = (end.bytes - start.bytes) as f64 / f64::from(1 << 30);
    let cpu =
        end.cpu.zip(start.cpu).map(|(end, start)| (end.saturating_sub(start)).as_secs_f64() / gibibytes);
    Ok(Bulk { throughput: gibibytes / (end.time - start.time).as_secs_f64(), cpu })
}

/// Reads after the window has passed, and again after another window until it is enough, as on a busy machine.
pub(crate) fn read_after_window<T>(
    plan: &Plan,
    mut read: impl FnMut() -> Result<T>,
    is_enough: impl Fn(&T) -> bool,
) -> Result<T> {
    let start = Instant::now();
    loop {
        thread::sleep(plan.window);
        let reading = read()?;
        if is_enough(&reading) || start.elapsed() > MAX_WINDOW {
            return Ok(reading);
        }
    }
}

/// Measures in µs how long small messages take there and back, one after the other.
pub(crate) fn round_trips(connection: &mut Connection, count: u64) -> Result<Vec<f64>> {
    let time = |_| -> Result<f64> {
        let start = Instant::now();
        connection.round_trip()?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    (0..count).map(time).collect()
}

/// Measures connections per second: [`MANY`] clients connect in a loop, and read the greeting and the end of the stream.
pub(crate) fn rate(client: &Client, plan: &Plan) -> Result<f64> {
    let (made, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let connect_in_a_loop = || -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            client.greet()?;
            made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..MANY).map(|_| scope.spawn(connect_in_a_loop)).collect();
        thread::sleep(plan.ramp);
        let read = || (Instant::now(), made.load(Ordering::Relaxed));
        let (start, before) = read();
        let reading = read_after_window(plan, || Ok(read()), |(_, after)| *after > before);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        let (end, after) = reading?;
        Ok((after - before) as f64 / (end - start).as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Access, subject::Subject};

    fn direct() -> Running {
        let client = Client { access: Access::Direct, service: Service::start().unwrap() };
        Running { subject: Subject::Direct, client, processes: None, start_time: Duration::ZERO }
    }

    #[test]
    fn a_reading_is_repeated_until_it_is_enough() {
        let plan = Plan { window: Duration::from_millis(1), ..Plan::SHORT };
        let mut readings = 0;
        let mut count = || {
            readings += 1;
            Ok(readings)
        };
        assert_eq!(read_after_window(&plan, &mut count, |readings| *readings == 3).unwrap(), 3);
        assert_eq!(read_after_window(&plan, &mut count, |_| true).unwrap(), 4);
    }

    #[test]
    fn every_workload_has_a_result_and_ends() {
        let (running, millisecond) = (direct(), Duration::from_millis(1));
        let plan = Plan { ramp: 10 * millisecond, window: 50 * millisecond, ..Plan::SHORT };
        for direction in Direction::ALL {
            let bulk = bulk(&running, direction, 2, &plan).unwrap();
            assert!(bulk.throughput > 0.0 && bulk.cpu.is_none(), "{direction}: {bulk:?}");
        }
        let mut connection = running.client.connect(None).unwrap();
        connection.send_job(Job::Echo(20)).unwrap();
        let times = round_trips(&mut connection, 20).unwrap();
        assert!(times.len() == 20 && times.iter().all(|time| *time > 0.0), "{times:?}");
        assert!(rate(&running.client, &plan).unwrap() > 0.0);
    }
}
