//! The outcome on a network, as a row of the table.

use std::time::Duration;

use crate::{
    networks::visit::{Failure, Visit},
    statistics::{format_number, median, percentile},
};

/// The columns of the table.
pub(crate) const HEADER: &str = "\
| network | pages | first byte, median, ms | 99th percentile, ms | ratio | exchange, median, ms | ratio | failed dials |
|---|--:|--:|--:|--:|--:|--:|--:|
";

/// The outcome of a visit.
type Visited = Result<Visit, Failure>;

/// A visit through each proxy, one directly after the other.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) ours: Visited,
    pub(crate) theirs: Visited,
}

/// The dial that follows a failed one through our proxy at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextDial {
    pub(crate) session: Session,
    /// Whether the page came.
    pub(crate) worked: bool,
}

/// The session of such a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// That of the dial that failed.
    Same,
    New,
}

/// The row of a network that was not measured.
pub(crate) fn missing_row(title: &str) -> String {
    let cells = HEADER.lines().next().unwrap_or_default().matches('|').count().saturating_sub(3);
    format!("| {title} | not measured |{}\n", " – |".repeat(cells))
}

/// All that was measured on a network.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) turns: Vec<Turn>,
    /// One for each failed dial of our proxy.
    pub(crate) next_dials: Vec<NextDial>,
}

impl Outcome {
    /// Adds what another client has measured.
    pub(crate) fn add(&mut self, other: Self) {
        self.turns.extend(other.turns);
        self.next_dials.extend(other.next_dials);
    }

    /// The row, which begins with this title.
    pub(crate) fn row(&self, title: &str) -> String {
        let ours: Vec<_> = self.turns.iter().map(|turn| &turn.ours).collect();
        let theirs: Vec<_> = self.turns.iter().map(|turn| &turn.theirs).collect();
        let both = |cell: &dyn Fn(&[&Visited]) -> String| format!("{} / {}", cell(&ours), cell(&theirs));
        let pages = both(&|visits| {
            format!("{} of {}", visits.iter().filter(|visit| visit.is_ok()).count(), visits.len())
        });
        let first_byte = |percent| both(&move |visits| at(percent, &of(visits, first_bytes)));
        let exchange = both(&|visits| at(50, &of(visits, exchanges)));
        let [first_byte_ratio, exchange_ratio] =
            [first_bytes, exchanges].map(|times: Times| ratio(&self.ratios(times)));
        format!(
            "| {title} | {pages} | {} | {} | {first_byte_ratio} | {exchange} | {exchange_ratio} | {} |\n",
            first_byte(50),
            first_byte(99),
            self.failed_dials()
        )
    }

    /// Our time in each turn, divided by theirs. Turns with a failure have none.
    fn ratios(&self, times: Times) -> Vec<f64> {
        let both = |turn: &Turn| {
            let [ours, theirs] = [&turn.ours, &turn.theirs].map(|visit| median(&times(visit.as_ref().ok()?)));
            Some(ours? / theirs?)
        };
        self.turns.iter().filter_map(both).collect()
    }

    /// Their number, and how many of the next dials worked.
    fn failed_dials(&self) -> String {
        let of = |session| {
            let dials: Vec<_> = self.next_dials.iter().filter(|next| next.session == session).collect();
            let worked = dials.iter().filter(|next| next.worked).count();
            format!("{worked} of {}", dials.len())
        };
        match self.next_dials.len() {
            0 => "0".into(),
            all => format!(
                "{all}; then {} on the same session, {} on a new one",
                of(Session::Same),
                of(Session::New)
            ),
        }
    }
}

/// The times of a visit in ms, for one column.
type Times = fn(&Visit) -> Vec<f64>;

fn first_bytes(visit: &Visit) -> Vec<f64> {
    vec![milliseconds(&visit.first_byte)]
}

fn exchanges(visit: &Visit) -> Vec<f64> {
    visit.exchanges.iter().map(milliseconds).collect()
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn of(visits: &[&Visited], times: Times) -> Vec<f64> {
    visits.iter().filter_map(|visit| visit.as_ref().ok()).flat_map(times).collect()
}

fn at(percent: usize, times: &[f64]) -> String {
    percentile(times, percent).map_or("–".into(), format_number)
}

/// The median, and the range of the middle half.
fn ratio(ratios: &[f64]) -> String {
    let at = |percent| percentile(ratios, percent);
    match (median(ratios), at(25), at(75)) {
        (Some(median), Some(low), Some(high)) => format!("× {median:.3} ({low:.2} to {high:.2})"),
        _ => "–".into(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::networks::visit::Stage;

    fn took(first_byte: u64, exchange: u64) -> Visited {
        let [first_byte, exchange] = [first_byte, exchange].map(Duration::from_millis);
        Ok(Visit { first_byte, exchanges: vec![exchange; 2] })
    }

    fn failed() -> Visited {
        Err(Failure::new(Stage::Dial, Duration::from_secs(60), anyhow!("refused")))
    }

    #[test]
    fn a_row_compares_the_turns_in_which_both_worked() {
        let mut outcome = Outcome::default();
        outcome.add(Outcome {
            turns: vec![
                Turn { ours: took(200, 100), theirs: took(100, 100) },
                Turn { ours: took(300, 110), theirs: took(300, 100) },
                Turn { ours: failed(), theirs: took(9000, 900) },
            ],
            next_dials: vec![NextDial { session: Session::Same, worked: true }],
        });
        assert_eq!(
            outcome.row("1 % lost"),
            "| 1 % lost | 2 of 3 / 3 of 3 | 200 / 300 | 300 / 9000 | × 1.500 (1.00 to 2.00) | 100 / 100 \
             | × 1.050 (1.00 to 1.10) | 1; then 1 of 1 on the same session, 0 of 0 on a new one |\n"
        );
        let bars = |line: &str| line.matches('|').count();
        assert_eq!(bars(&outcome.row("x")), bars(HEADER.lines().next().unwrap()));
    }

    #[test]
    fn a_network_that_was_not_measured_has_a_row_of_the_same_width() {
        let (row, header) = (missing_row("x"), HEADER.lines().next().unwrap());
        assert!(row.starts_with("| x | not measured | – |"), "{row}");
        assert_eq!(row.matches('|').count(), header.matches('|').count(), "{row}");
    }

    #[test]
    fn a_network_on_which_nothing_worked_has_a_row() {
        let turns = vec![Turn { ours: failed(), theirs: failed() }];
        let outcome = Outcome { turns, next_dials: Vec::new() };
        assert_eq!(outcome.row("x"), "| x | 0 of 1 / 0 of 1 | – / – | – / – | – | – / – | – | 0 |\n");
    }
}
