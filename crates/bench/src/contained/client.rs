//! The program that is contained, and the same one without walls: this program, which does what it reads from stdin.

use std::{
    io::{self, BufRead, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    client::{Access, Client, Connection},
    measure::Direction,
    service::{self, Job, Service},
    statistics::median,
    workloads,
};

/// The argument with which the suite starts its client.
pub(crate) const CLIENT: &str = "contained-client";

/// A line of the suite. Each is answered with one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Transfer bulk data over this many connections until the end. The answer has no meaning.
    Bulk(Direction, usize),
    /// Say how many bytes have come down.
    Bytes,
    /// Hold this many connections, each of which has carried a message. The answer is their number.
    Hold(usize),
    /// Say how many µs a round trip takes: the median of this many.
    RoundTrips(u64),
    /// Say how many ms it takes to open a connection and get a message back: the median of this many, one after the other.
    Open(u64),
}

impl Order {
    /// The line.
    pub(super) fn line(self) -> String {
        match self {
            Self::Bulk(direction, count) => format!("{} {count}", word(direction)),
            Self::Bytes => "bytes 0".into(),
            Self::Hold(count) => format!("hold {count}"),
            Self::RoundTrips(count) => format!("round-trips {count}"),
            Self::Open(count) => format!("open {count}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, number) = line.split_once(' ')?;
        let count = number.parse().ok()?;
        Some(match name {
            "bytes" => Self::Bytes,
            "hold" => Self::Hold(count),
            "round-trips" => Self::RoundTrips(number.parse().ok()?),
            "open" => Self::Open(number.parse().ok()?),
            _ => Self::Bulk(Direction::ALL.into_iter().find(|direction| word(*direction) == name)?, count),
        })
    }
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Down => "down",
        Direction::Up => "up",
        Direction::Both => "both",
    }
}

/// Does what stdin says, until it ends. The arguments are the SOCKS port or `contained`, and the port of the service.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let [access, port] = arguments else { bail!("this is for cargo xtask bench alone") };
    let access = match *access {
        CONTAINED => Access::Name,
        address => Access::SocksName(address.parse().context("no SOCKS port")?),
    };
    let service = Service::elsewhere(port.parse().context("no port")?);
    let mut worker =
        Worker { client: Client { access, service }, held: Vec::new(), received: Arc::default() };
    for line in io::stdin().lock().lines() {
        let line = line.context("stdin")?;
        let order = Order::parse(&line).with_context(|| format!("{line:?} is no order"))?;
        let answer = worker.obey(order).with_context(|| line)?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{answer}").and_then(|()| stdout.flush()).context("stdout")?;
    }
    Ok(())
}

/// The access of a contained client: it needs no proxy.
pub(super) const CONTAINED: &str = "contained";

struct Worker {
    client: Client,
    held: Vec<Connection>,
    received: Arc<AtomicU64>,
}

impl Worker {
    fn obey(&mut self, order: Order) -> Result<String> {
        match order {
            Order::Bulk(direction, count) => {
                self.start_bulk(direction, count)?;
                Ok("started".into())
            }
            Order::Bytes => Ok(self.received.load(Ordering::Relaxed).to_string()),
            Order::Hold(count) => {
                while self.held.len() < count {
                    let mut connection = self.client.connect(None)?;
                    connection.send_job(Job::Echo(u64::MAX))?;
                    connection.round_trip()?;
                    self.held.push(connection);
                }
                Ok(self.held.len().to_string())
            }
            Order::RoundTrips(count) => {
                let mut connection = self.client.connect(None)?;
                connection.send_job(Job::Echo(count))?;
                let times = workloads::round_trips(&mut connection, count)?;
                Ok(median(&times).context("no round trip")?.to_string())
            }
            Order::Open(count) => {
                let time = |_| -> Result<f64> {
                    let start = Instant::now();
                    self.open()?;
                    Ok(start.elapsed().as_secs_f64() * 1e3)
                };
                let times = (0..count).map(time).collect::<Result<Vec<_>>>()?;
                Ok(median(&times).context("no connection")?.to_string())
            }
        }
    }

    /// The threads end with the process.
    fn start_bulk(&self, direction: Direction, count: usize) -> Result<()> {
        let mut connections = (0..count).map(|_| self.client.connect(None)).collect::<Result<Vec<_>>>()?;
        connections.iter_mut().try_for_each(|connection| connection.send_job(workloads::job(direction)))?;
        for connection in connections.into_iter().map(Arc::new) {
            if direction != Direction::Up {
                let (connection, received) = (Arc::clone(&connection), Arc::clone(&self.received));
                thread::spawn(move || service::receive(connection.stream(), &received));
            }
            if direction != Direction::Down {
                thread::spawn(move || service::send(connection.stream()));
            }
        }
        Ok(())
    }

    /// Opens a connection and gets a message back.
    fn open(&self) -> Result<()> {
        let mut connection = self.client.connect(None)?;
        connection.send_job(Job::Echo(1))?;
        connection.round_trip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_understood_as_it_was_given() {
        for order in [
            Order::Bulk(Direction::Down, 1),
            Order::Bulk(Direction::Both, 16),
            Order::Bytes,
            Order::Hold(1000),
            Order::RoundTrips(7),
            Order::Open(20),
        ] {
            assert_eq!(Order::parse(&order.line()), Some(order));
        }
        assert_eq!(Order::parse("sideways 1"), None);
        assert_eq!(Order::parse("hold"), None);
    }

    #[test]
    fn orders_are_obeyed() {
        let client = Client { access: Access::Direct, service: Service::start().unwrap() };
        let mut worker = Worker { client, held: Vec::new(), received: Arc::default() };
        assert_eq!(worker.obey(Order::Hold(3)).unwrap(), "3");
        assert_eq!(worker.obey(Order::Bulk(Direction::Down, 2)).unwrap(), "started");
        while worker.obey(Order::Bytes).unwrap() == "0" {
            thread::yield_now();
        }
        for order in [Order::RoundTrips(5), Order::Open(3)] {
            assert!(worker.obey(order).unwrap().parse::<f64>().unwrap() > 0.0);
        }
    }
}
