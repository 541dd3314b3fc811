//! The targets and how they are met. A missed target does not fail the run, since results depend on the machine.

use std::fmt;

use crate::{
    measure::{Address, Direction, Measure, Results},
    plan::{MANY, Plan},
    statistics::format_number,
    subject::Subject,
};

/// The limit of a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// A target and the measured value.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) limit: Limit,
    /// Nothing if it was not measured.
    pub(crate) measured: Option<f64>,
}

impl Target {
    /// Tells whether it is met, or by how much it is missed.
    pub(crate) fn verdict(&self) -> String {
        let Some(measured) = self.measured else { return "not measured".into() };
        let (met, missed) = match self.limit {
            Limit::AtMost(limit) => (measured <= limit, measured / limit - 1.0),
            Limit::AtLeast(limit) => (measured >= limit, 1.0 - measured / limit),
        };
        if met { "met".into() } else { format!("missed by {:.0} %", (missed * 100.0).max(1.0)) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {}", format_number(*limit)),
            Self::AtLeast(limit) => write!(f, "at least {}", format_number(*limit)),
        }
    }
}

/// How much greater the cost per connection may be with the most connections than with fewer, to still count as linear growth.
const MAX_LINEAR_RATIO: f64 = 1.25;

/// How much greater the time to the first byte may be than another one, to still count as the same. It includes four ways over the
/// link. Each is rounded up to a millisecond, which adds up to 4 ms to 200 ms.
const MAX_EQUAL_RATIO: f64 = 1.02;

/// All targets.
pub(crate) fn all(results: &Results, plan: &Plan) -> Vec<Target> {
    let target = |name: String, limit, measured| Target { name, limit, measured };
    let ratio_to = |measure, other: Option<Subject>| results.ratio(measure, Subject::Ours, other?);
    let best = |measure| ratio_to(measure, results.best_peer(measure));
    let ratio_name = |measure: Measure| {
        let peer = results.best_peer(measure).map_or("the best peer", Subject::title);
        format!("{measure}: ratio to {peer}")
    };
    let median = |measure| results.spread(measure, Subject::Ours).map(|spread| spread.median);
    let mut targets = Vec::new();
    for direction in Direction::ALL {
        let cpu = Measure::Cpu(direction, 1);
        let splice = ratio_to(cpu, Some(Subject::Splice));
        targets.push(target(format!("{cpu}: ratio to the splice relay"), Limit::AtMost(1.2), splice));
    }
    let cpu = Measure::Cpu(Direction::Both, 1);
    targets.push(target(ratio_name(cpu), Limit::AtMost(0.5), best(cpu)));
    for connections in [1, MANY] {
        for direction in Direction::ALL {
            let measure = Measure::Throughput(direction, connections);
            targets.push(target(ratio_name(measure), Limit::AtLeast(1.0), best(measure)));
        }
    }
    // Of whole round trips: what the proxies add is a small difference, whose ratio would be noise.
    let trip = Measure::RoundTrip;
    targets.push(target(ratio_name(trip), Limit::AtMost(1.0), best(trip)));
    let dante = ratio_to(Measure::Rate, Some(Subject::Dante));
    targets.push(target(format!("{}: ratio to dante", Measure::Rate), Limit::AtLeast(2.0), dante));
    for (measure, limit) in [
        (Measure::IdleMemory(plan.idle), Limit::AtMost(3.0)),
        (Measure::Descriptors(plan.idle), Limit::AtMost(2.0)),
        (Measure::Alive(plan.max_connections()), Limit::AtLeast(plan.max_connections() as f64)),
    ] {
        targets.push(target(measure.to_string(), limit, median(measure)));
    }
    let (first, idle, max) = (plan.steps.first().copied().unwrap_or(1), plan.idle, plan.max_connections());
    if max > idle {
        let each = |count| {
            Some((median(Measure::Memory(count))? - median(Measure::Memory(first))?) / (count - first) as f64)
        };
        let memory = each(max).zip(each(idle)).map(|(max, idle)| max / idle);
        let name = format!("memory per connection with {max} held: ratio to {idle}");
        targets.push(target(name, Limit::AtMost(MAX_LINEAR_RATIO), memory));
        let cpu = median(Measure::MessageCpu(max)).zip(median(Measure::MessageCpu(idle)));
        let name = format!("CPU per message with {max} held: ratio to {idle}");
        targets.push(target(name, Limit::AtMost(MAX_LINEAR_RATIO), cpu.map(|(max, idle)| max / idle)));
    }
    for (measure, limit) in [(Measure::Start, 50.0), (Measure::Size, 10.0)] {
        targets.push(target(measure.to_string(), Limit::AtMost(limit), median(measure)));
    }
    for address in Address::ALL {
        let measure = Measure::FirstByte(address);
        let name = format!("{measure}, on a link with latency: ratio to {}", Subject::I2pd.title());
        targets.push(target(name, Limit::AtMost(MAX_EQUAL_RATIO), ratio_to(measure, Some(Subject::I2pd))));
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(limit: Limit, measured: f64) -> String {
        Target { name: String::new(), limit, measured: Some(measured) }.verdict()
    }

    #[test]
    fn a_verdict_has_the_size_of_a_miss() {
        assert_eq!(verdict(Limit::AtMost(1.2), 1.2), "met");
        assert_eq!(verdict(Limit::AtMost(1.2), 1.8), "missed by 50 %");
        assert_eq!(verdict(Limit::AtMost(1.2), 1.2001), "missed by 1 %");
        assert_eq!(verdict(Limit::AtLeast(2.0), 2.0), "met");
        assert_eq!(verdict(Limit::AtLeast(2.0), 0.5), "missed by 75 %");
        let target = Target { name: String::new(), limit: Limit::AtLeast(1.0), measured: None };
        assert_eq!(target.verdict(), "not measured");
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_memory_is_per_connection() {
        let mut results = Results::default();
        let cpu = Measure::Cpu(Direction::Both, 1);
        for (measure, subject, value) in [
            (cpu, Subject::Ours, 0.3),
            (cpu, Subject::Splice, 0.3),
            (Measure::Cpu(Direction::Up, 1), Subject::Ours, 0.3),
            (Measure::Cpu(Direction::Up, 1), Subject::Splice, 0.2),
            (cpu, Subject::Microsocks, 4.0),
            (cpu, Subject::Dante, 1.2),
            (Measure::Memory(1), Subject::Ours, 2.0),
            (Measure::Memory(1_000), Subject::Ours, 2.0 + 0.999),
            (Measure::Memory(4_000), Subject::Ours, 2.0 + 2.0 * 3.999),
        ] {
            results.record(measure, subject, value).unwrap();
        }
        let targets = all(&results, &Plan::FULL);
        let find = |end: &str| targets.iter().find(|target| target.name.ends_with(end)).unwrap();
        assert_eq!(find("both ways, 1 connection: ratio to the splice relay").measured, Some(1.0));
        assert_eq!(find("GiB, up, 1 connection: ratio to the splice relay").verdict(), "missed by 25 %");
        assert_eq!(find("GiB, down, 1 connection: ratio to the splice relay").verdict(), "not measured");
        assert_eq!(find("both ways, 1 connection: ratio to dante").measured, Some(0.25));
        let memory = find("memory per connection with 4000 held: ratio to 1000").measured.unwrap();
        assert!((memory - 2.0).abs() < 1e-9, "{memory}");
        assert_eq!(find("connections per second: ratio to dante").verdict(), "not measured");
    }
}
