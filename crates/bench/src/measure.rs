//! The measures and their results.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};

use crate::{
    statistics::{Spread, median},
    subject::Subject,
};

/// The direction of bulk data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// From the service to the client.
    Down,
    /// From the client to the service.
    Up,
    /// Both at the same time.
    Both,
}

impl Direction {
    pub(crate) const ALL: [Self; 3] = [Self::Down, Self::Up, Self::Both];
}

/// How a client names a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    /// By a name in the router's address book.
    Name,
    /// By the hash of its destination.
    B32,
}

impl Address {
    pub(crate) const ALL: [Self; 2] = [Self::Name, Self::B32];
}

/// A measure. The numbers are numbers of connections unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// CPU-seconds per relayed GiB.
    Cpu(Direction, usize),
    /// Relayed GiB per second.
    Throughput(Direction, usize),
    /// The median of a small message's round trip, in µs.
    RoundTrip,
    /// What the proxy adds to that median, in µs.
    Added,
    /// The 99th percentile of the round trip, in µs.
    RoundTripTail,
    /// Connections per second, each with the greeting of the service.
    Rate,
    /// Resident memory per idle connection, in KiB.
    IdleMemory(usize),
    /// File descriptors per idle connection.
    Descriptors(usize),
    /// Held connections that still work.
    Alive(usize),
    /// Time from the start of the program until it is ready, in ms.
    Start,
    /// Size of the program, in MB.
    Size,
    /// Resident memory of the proxy, in MiB.
    Memory(usize),
    /// CPU time of a round trip over all connections in turn, in µs.
    MessageCpu(usize),
    /// Resident memory of the proxy with this many sessions, in MiB.
    SessionMemory(usize),
    /// CPU time of a connection over this many sessions in turn, in µs.
    SessionCpu(usize),
    /// Time to open an address book with this many names, in ms.
    BookOpen(usize),
    /// Time to find one of this many names, in µs.
    BookFound(usize),
    /// Time to look up an unknown name among this many, in µs.
    BookMissing(usize),
    /// Time to first byte: from connecting to a proxy until the first byte of a page behind the link with latency, in ms.
    FirstByte(Address),
}

impl Measure {
    /// Returns whether a greater value is better.
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Self::Throughput(..) | Self::Rate | Self::Alive(_))
    }

    /// Returns whether it belongs to the plot of how cost grows.
    pub(crate) fn is_growth(self) -> bool {
        self.is_book()
            || matches!(
                self,
                Self::Memory(_) | Self::MessageCpu(_) | Self::SessionMemory(_) | Self::SessionCpu(_)
            )
    }

    /// Returns whether it is about the address book, which no other proxy has.
    pub(crate) fn is_book(self) -> bool {
        matches!(self, Self::BookOpen(_) | Self::BookFound(_) | Self::BookMissing(_))
    }

    /// Returns whether it belongs to the table of all subjects.
    pub(crate) fn is_cost(self) -> bool {
        !self.is_growth() && !self.is_first_byte()
    }

    /// Returns whether it belongs to the table of the link with latency.
    pub(crate) fn is_first_byte(self) -> bool {
        matches!(self, Self::FirstByte(_))
    }

    /// Returns whether its ratio to another subject is meaningful.
    pub(crate) fn is_compared(self) -> bool {
        !matches!(self, Self::Descriptors(_) | Self::Alive(_) | Self::Start | Self::Size)
    }

    /// Returns whether it is a difference, which noise can make negative.
    fn is_difference(self) -> bool {
        matches!(self, Self::Added | Self::IdleMemory(_))
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Both => "both ways",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "by name",
            Self::B32 => "by b32",
        })
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let connections = |count| counted(count, "connection");
        let sessions = |count| counted(count, "session");
        match *self {
            Self::Cpu(direction, count) => write!(f, "CPU-s per GiB, {direction}, {}", connections(count)),
            Self::Throughput(direction, count) => {
                write!(f, "GiB/s, {direction}, {}", connections(count))
            }
            Self::RoundTrip => f.write_str("round trip of 64 bytes, median, µs"),
            Self::Added => f.write_str("added by the proxy, µs"),
            Self::RoundTripTail => f.write_str("round trip of 64 bytes, 99th percentile, µs"),
            Self::Rate => f.write_str("connections per second"),
            Self::IdleMemory(count) => write!(f, "memory per idle connection, {count} held, KiB"),
            Self::Descriptors(count) => write!(f, "descriptors per idle connection, {count} held"),
            Self::Alive(count) => write!(f, "working connections of {count} held"),
            Self::Start => f.write_str("start to ready, ms"),
            Self::Size => f.write_str("size of the program, MB"),
            Self::Memory(count) => write!(f, "memory with {}, MiB", connections(count)),
            Self::MessageCpu(count) => write!(f, "CPU per message over {}, µs", connections(count)),
            Self::SessionMemory(count) => write!(f, "memory with {}, MiB", sessions(count)),
            Self::SessionCpu(count) => write!(f, "CPU per connection over {}, µs", sessions(count)),
            Self::BookOpen(count) => write!(f, "opening an address book with {}, ms", counted(count, "name")),
            Self::BookFound(count) => write!(f, "finding one of {}, µs", counted(count, "name")),
            Self::BookMissing(count) => {
                write!(f, "looking up an unknown name among {}, µs", counted(count, "name"))
            }
            Self::FirstByte(address) => write!(f, "time to first byte {address}, ms"),
        }
    }
}

/// All results, round by round.
#[derive(Debug, Default)]
pub(crate) struct Results {
    values: BTreeMap<(Measure, Subject), Vec<f64>>,
}

impl Results {
    /// Records a value. Fails for an impossible one, such as a rate of 0.
    pub(crate) fn record(&mut self, measure: Measure, subject: Subject, value: f64) -> Result<()> {
        let is_possible = value.is_finite() && (value > 0.0 || measure.is_difference());
        ensure!(is_possible, "{}: {measure}: {value} is impossible", subject.title());
        self.values.entry((measure, subject)).or_default().push(value);
        Ok(())
    }

    /// The values of the rounds, in order.
    pub(crate) fn values(&self, measure: Measure, subject: Subject) -> &[f64] {
        self.values.get(&(measure, subject)).map_or(&[], Vec::as_slice)
    }

    /// The measures with results, in the order of [`Measure`].
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let mut measures: Vec<_> = self.values.keys().map(|(measure, _)| *measure).collect();
        measures.dedup();
        measures
    }

    /// The median and the range over the rounds.
    pub(crate) fn spread(&self, measure: Measure, subject: Subject) -> Option<Spread> {
        Spread::of(self.values(measure, subject))
    }

    /// The ratio of two subjects: the median of the ratios of the rounds, since noise affects a round as a whole.
    pub(crate) fn ratio(&self, measure: Measure, subject: Subject, other: Subject) -> Option<f64> {
        let pairs = self.values(measure, subject).iter().zip(self.values(measure, other));
        median(&pairs.filter(|(_, other)| **other > 0.0).map(|(one, other)| one / other).collect::<Vec<_>>())
    }

    /// The other SOCKS server with the best median.
    pub(crate) fn best_peer(&self, measure: Measure) -> Option<Subject> {
        let medians = Subject::PEERS
            .into_iter()
            .filter_map(|peer| self.spread(measure, peer).map(|spread| (peer, spread.median)));
        let better = |a: &(Subject, f64), b: &(Subject, f64)| match measure.more_is_better() {
            true => b.1.total_cmp(&a.1),
            false => a.1.total_cmp(&b.1),
        };
        medians.min_by(better).map(|(peer, _)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_value_is_an_error() {
        let mut results = Results::default();
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(results.record(Measure::Rate, Subject::Ours, value).is_err(), "{value}");
        }
        results.record(Measure::Added, Subject::Ours, -1.0).unwrap();
        assert_eq!(results.values(Measure::Rate, Subject::Ours), [0.0; 0]);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let mut results = Results::default();
        for (ours, theirs) in [(1.0, 2.0), (100.0, 100.0), (4.0, 2.0)] {
            results.record(Measure::Rate, Subject::Ours, ours).unwrap();
            results.record(Measure::Rate, Subject::Dante, theirs).unwrap();
        }
        assert_eq!(results.ratio(Measure::Rate, Subject::Ours, Subject::Dante), Some(1.0));
        assert_eq!(results.ratio(Measure::Rate, Subject::Ours, Subject::Splice), None);
    }

    #[test]
    fn the_best_peer_has_the_best_median() {
        let mut results = Results::default();
        for measure in [Measure::Rate, Measure::Start] {
            for (subject, value) in [
                (Subject::Ours, 0.5),
                (Subject::Microsocks, 1.0),
                (Subject::Dante, 2.0),
                (Subject::Splice, 9.0),
            ] {
                results.record(measure, subject, value).unwrap();
            }
        }
        assert_eq!(results.best_peer(Measure::Rate), Some(Subject::Dante));
        assert_eq!(results.best_peer(Measure::Start), Some(Subject::Microsocks));
        assert_eq!(results.best_peer(Measure::Size), None);
        assert_eq!(results.measures(), [Measure::Rate, Measure::Start]);
    }
}
