//! The numbers of all rounds, and the table.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};

use super::way::Way;
use crate::{
    measure::Direction,
    statistics::{Spread, format_number},
    table,
    targets::{Limit, Target},
};

/// A row of the table. The numbers are numbers of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    /// CPU-seconds of the proxy per GiB.
    ProxyCpu(Direction, usize),
    /// CPU-seconds of `exec` per GiB.
    Cpu(Direction, usize),
    /// GiB per second.
    Throughput(Direction, usize),
    /// The median of a small message's round trip, in µs.
    RoundTrip,
    /// The median of the time in ms to open a connection and get a message back, beside this many that carry bulk data both ways.
    OpenBeside(usize),
    /// Resident memory of the proxy per idle connection, in KiB.
    ProxyMemory(usize),
    /// Resident memory of `exec` per idle connection, in KiB.
    IdleMemory(usize),
    /// From the start of a program that does nothing to its end, in ms.
    Start,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections =
            |count| if count == 1 { "1 connection".into() } else { format!("{count} connections") };
        match *self {
            Self::ProxyCpu(direction, count) => {
                write!(f, "CPU-s of the proxy per GiB, {direction}, {}", connections(count))
            }
            Self::Cpu(direction, count) => {
                write!(f, "CPU-s of exec per GiB, {direction}, {}", connections(count))
            }
            Self::Throughput(direction, count) => write!(f, "GiB/s, {direction}, {}", connections(count)),
            Self::RoundTrip => f.write_str("round trip of 64 bytes, median, µs"),
            Self::OpenBeside(count) => {
                write!(
                    f,
                    "a new connection and a message there and back, beside {count} both ways, median, ms"
                )
            }
            Self::ProxyMemory(count) => {
                write!(f, "memory of the proxy per idle connection, {count} held, KiB")
            }
            Self::IdleMemory(count) => write!(f, "memory of exec per idle connection, {count} held, KiB"),
            Self::Start => f.write_str("start to end, ms; in the first column, of unshare"),
        }
    }
}

/// The numbers of all rounds.
#[derive(Debug, Default)]
pub(super) struct Outcome(BTreeMap<(Row, Way), Vec<f64>>);

impl Outcome {
    /// Records a number. Memory is a difference, which noise can make negative.
    pub(super) fn record(&mut self, row: Row, way: Way, value: f64) -> Result<()> {
        let is_possible =
            value.is_finite() && (value > 0.0 || matches!(row, Row::ProxyMemory(_) | Row::IdleMemory(_)));
        ensure!(is_possible, "{row}, {}: {value} is impossible", way.title());
        self.0.entry((row, way)).or_default().push(value);
        Ok(())
    }

    /// Medians with their ranges, and the targets.
    pub(super) fn table(&self) -> String {
        let titles: String = Way::ALL.iter().map(|way| format!(" {} |", way.title())).collect();
        let mut text = format!("| |{titles}\n|---|--:|--:|--:|\n");
        let mut rows: Vec<_> = self.0.keys().map(|(row, _)| *row).collect();
        rows.dedup();
        for row in rows {
            let cells: String =
                Way::ALL.iter().map(|way| format!(" {} |", table::spread(self.spread(row, *way)))).collect();
            text += &format!("| {row} |{cells}\n");
        }
        text + "\n" + &self.targets()
    }

    fn spread(&self, row: Row, way: Way) -> Option<Spread> {
        Spread::of(self.0.get(&(row, way))?)
    }

    /// What `exec` may cost, and whether it does.
    fn targets(&self) -> String {
        let rows = self.0.keys().filter(|(_, way)| *way == Way::Proxy).map(|(row, _)| *row);
        rows.flat_map(|row| [Way::Proxy, Way::Own].map(|way| self.verdict(row, way))).collect()
    }

    /// The most that a row may show. With sessions of its own, `exec` also holds what the proxy holds otherwise.
    fn limit(&self, row: Row, way: Way) -> Option<f64> {
        match row {
            Row::Cpu(_, 1) => Some(0.7),
            Row::IdleMemory(count) => {
                let of_proxy = self.spread(Row::ProxyMemory(count), Way::Socks);
                let in_place_of_proxy =
                    of_proxy.filter(|_| way == Way::Own).map_or(0.0, |spread| spread.median);
                Some(3.0 + in_place_of_proxy)
            }
            Row::Start => Some(100.0),
            _ => None,
        }
    }

    fn verdict(&self, row: Row, way: Way) -> String {
        let Some(limit) = self.limit(row, way).map(Limit::AtMost) else { return String::new() };
        let measured = self.spread(row, way).map(|spread| spread.median);
        let target = Target { name: String::new(), limit, measured };
        let what = row.to_string();
        let what = what.split("; ").next().unwrap_or_default();
        let number = measured.map_or("–".into(), format_number);
        format!("* {}: {what}, target {limit}: {number}, {}.\n", way.title(), target.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_medians_and_verdicts() {
        let mut outcome = Outcome::default();
        for value in [0.5, 0.9, 0.6] {
            outcome.record(Row::Cpu(Direction::Down, 1), Way::Proxy, value).unwrap();
        }
        outcome.record(Row::Start, Way::Socks, 3.0).unwrap();
        outcome.record(Row::ProxyMemory(1000), Way::Socks, 3.5).unwrap();
        outcome.record(Row::IdleMemory(1000), Way::Proxy, 3.1).unwrap();
        outcome.record(Row::IdleMemory(1000), Way::Own, 6.4).unwrap();
        outcome.record(Row::Start, Way::Proxy, 110.0).unwrap();
        assert!(outcome.record(Row::Start, Way::Own, 0.0).is_err());
        let table = outcome.table();
        for line in [
            "| | SOCKS port | exec, through the proxy | exec, own sessions |\n",
            "| CPU-s of exec per GiB, down, 1 connection | – | 0.60 (0.50 to 0.90) | – |\n",
            "* exec, through the proxy: CPU-s of exec per GiB, down, 1 connection, target at most 0.70: 0.60, met.\n",
            "* exec, through the proxy: start to end, ms, target at most 100: 110, missed by 10 %.\n",
            "* exec, own sessions: start to end, ms, target at most 100: –, not measured.\n",
            "* exec, through the proxy: memory of exec per idle connection, 1000 held, KiB, target at most 3.00: 3.10, missed by 3 %.\n",
            "* exec, own sessions: memory of exec per idle connection, 1000 held, KiB, target at most 6.50: 6.40, met.\n",
        ] {
            assert!(table.contains(line), "{line}\n{table}");
        }
    }
}
