//! What issue 8 asks for, and how it went. Never a reason to fail: another machine is another race.

use std::fmt;

use super::{
    measure::{Address, Direction, Measure, Results},
    plan::{MANY, Plan},
    statistics::shown,
    subjects::Subject,
};

/// What a value is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// One target and what was measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) limit: Limit,
    /// Nothing where it was not measured.
    pub(crate) measured: Option<f64>,
}

impl Target {
    /// Whether it is met, or by how much it is missed.
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
            Self::AtMost(limit) => write!(f, "at most {}", shown(*limit)),
            Self::AtLeast(limit) => write!(f, "at least {}", shown(*limit)),
        }
    }
}

/// By how much the cost of one among the most connections may pass that of one among fewer, and still be called linear.
const LINEAR: f64 = 1.25;

/// How far the time to the first byte may be above another's and still be called the same. Each of its four ways over the link
/// ends at a tick of a millisecond, which blurs 200 ms by up to 4.
const SAME: f64 = 1.02;

/// All of them, in the order.
pub(crate) fn all(results: &Results, plan: &Plan) -> Vec<Target> {
    let target = |what: String, limit, measured| Target { what, limit, measured };
    let beside = |measure, other: Option<Subject>| results.ratio(measure, Subject::Ours, other?);
    let best = |measure| beside(measure, results.best_peer(measure));
    let named = |measure: Measure| {
        let peer = results.best_peer(measure).map_or("the best peer", Subject::title);
        format!("{measure}: ratio to {peer}")
    };
    let median = |measure| results.spread(measure, Subject::Ours).map(|spread| spread.median);
    let mut targets = Vec::new();
    for direction in Direction::ALL {
        let cpu = Measure::Cpu(direction, 1);
        let splice = beside(cpu, Some(Subject::Splice));
        targets.push(target(format!("{cpu}: ratio to the splice relay"), Limit::AtMost(1.2), splice));
    }
    let cpu = Measure::Cpu(Direction::Both, 1);
    targets.push(target(named(cpu), Limit::AtMost(0.5), best(cpu)));
    for connections in [1, MANY] {
        for direction in Direction::ALL {
            let measure = Measure::Throughput(direction, connections);
            targets.push(target(named(measure), Limit::AtLeast(1.0), best(measure)));
        }
    }
    // What is added, plus the same for all: the ratio of what is added alone would be one of small differences.
    let trip = Measure::RoundTrip;
    targets.push(target(named(trip), Limit::AtMost(1.0), best(trip)));
    let dante = beside(Measure::Rate, Some(Subject::Dante));
    targets.push(target(format!("{}: ratio to dante", Measure::Rate), Limit::AtLeast(2.0), dante));
    for (measure, limit) in [
        (Measure::IdleMemory(plan.idle), Limit::AtMost(3.0)),
        (Measure::Descriptors(plan.idle), Limit::AtMost(2.0)),
        (Measure::Alive(plan.most()), Limit::AtLeast(plan.most() as f64)),
    ] {
        targets.push(target(measure.to_string(), limit, median(measure)));
    }
    let (first, idle, most) = (plan.steps.first().copied().unwrap_or(1), plan.idle, plan.most());
    if most > idle {
        let each = |count| {
            Some((median(Measure::Memory(count))? - median(Measure::Memory(first))?) / (count - first) as f64)
        };
        let memory = each(most).zip(each(idle)).map(|(most, idle)| most / idle);
        let what = format!("memory per connection with {most} held: ratio to {idle}");
        targets.push(target(what, Limit::AtMost(LINEAR), memory));
        let cpu = median(Measure::MessageCpu(most)).zip(median(Measure::MessageCpu(idle)));
        let what = format!("CPU per message with {most} held: ratio to {idle}");
        targets.push(target(what, Limit::AtMost(LINEAR), cpu.map(|(most, idle)| most / idle)));
    }
    for (measure, limit) in [(Measure::Start, 50.0), (Measure::Size, 10.0)] {
        targets.push(target(measure.to_string(), Limit::AtMost(limit), median(measure)));
    }
    for address in Address::ALL {
        let measure = Measure::FirstByte(address);
        let what = format!("{measure}, on a link with latency: ratio to {}", Subject::I2pd.title());
        targets.push(target(what, Limit::AtMost(SAME), beside(measure, Some(Subject::I2pd))));
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(limit: Limit, measured: f64) -> String {
        Target { what: String::new(), limit, measured: Some(measured) }.verdict()
    }

    #[test]
    fn a_miss_says_by_how_much() {
        assert_eq!(verdict(Limit::AtMost(1.2), 1.2), "met");
        assert_eq!(verdict(Limit::AtMost(1.2), 1.8), "missed by 50 %");
        assert_eq!(verdict(Limit::AtMost(1.2), 1.2001), "missed by 1 %");
        assert_eq!(verdict(Limit::AtLeast(2.0), 2.0), "met");
        assert_eq!(verdict(Limit::AtLeast(2.0), 0.5), "missed by 75 %");
        let target = Target { what: String::new(), limit: Limit::AtLeast(1.0), measured: None };
        assert_eq!(target.verdict(), "not measured");
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_memory_is_for_each() {
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
        let find = |end: &str| targets.iter().find(|target| target.what.ends_with(end)).unwrap();
        assert_eq!(find("both ways, 1 connection: ratio to the splice relay").measured, Some(1.0));
        assert_eq!(find("GiB, up, 1 connection: ratio to the splice relay").verdict(), "missed by 25 %");
        assert_eq!(find("GiB, down, 1 connection: ratio to the splice relay").verdict(), "not measured");
        assert_eq!(find("both ways, 1 connection: ratio to dante").measured, Some(0.25));
        let memory = find("memory per connection with 4000 held: ratio to 1000").measured.unwrap();
        assert!((memory - 2.0).abs() < 1e-9, "{memory}");
        assert_eq!(find("connections per second: ratio to dante").verdict(), "not measured");
    }
}
