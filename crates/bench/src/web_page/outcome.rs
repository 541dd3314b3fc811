//! The times of all visits, as a table.

use std::time::Duration;

use crate::{
    statistics::{format_number, median, percentile},
    subject::Subject,
};

/// A way to visit the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// No stream to the site is open.
    First,
    /// Directly after that.
    Again,
    /// The site closes each stream after its response.
    Once,
    /// Only the page, through HTTP.
    Http,
    /// Only the page, through SOCKS.
    Socks,
}

impl Row {
    const ALL: [Self; 5] = [Self::First, Self::Again, Self::Once, Self::Http, Self::Socks];

    fn title(self) -> &'static str {
        match self {
            Self::First => "no stream to the site is open",
            Self::Again => "the same page again",
            Self::Once => "a site that closes each stream",
            Self::Http => "only the page, through HTTP",
            Self::Socks => "only the page, through SOCKS",
        }
    }
}

/// What was measured in one visit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) first_byte: Duration,
    /// Until the page and its objects were there.
    pub(crate) whole: Option<Duration>,
    /// How many streams were opened for it.
    pub(crate) streams: usize,
}

/// The columns.
const HEADER: &str = "\
| visit | streams | first byte, ms | ratio | all there, ms | ratio |
|---|--:|--:|--:|--:|--:|
";
/// The greatest ratio of the times until all is there, and of our first byte to that through SOCKS.
const MAX_WHOLE_RATIO: f64 = 0.7;
const MAX_FIRST_BYTE_RATIO: f64 = 1.02;

/// All samples. Those of both proxies are in the order of the turns.
#[derive(Debug, Default)]
pub(crate) struct Outcome(Vec<(Row, Subject, Sample)>);

impl Outcome {
    pub(crate) fn record(&mut self, row: Row, subject: Subject, sample: Sample) {
        self.0.push((row, subject, sample));
    }

    /// The table, and whether the targets are met.
    pub(crate) fn table(&self) -> String {
        let rows: String = Row::ALL.into_iter().map(|row| self.row(row)).collect();
        let verdict = |ratio: Option<f64>, max| match ratio {
            Some(ratio) if ratio <= max => format!("× {ratio:.2}, met"),
            Some(ratio) => format!("× {ratio:.2}, missed"),
            None => "not measured".into(),
        };
        let whole = median(&ratios(
            &self.of(Row::First, Subject::Ours, whole),
            &self.of(Row::First, Subject::I2pd, whole),
        ));
        let first_byte = median(&ratios(
            &self.of(Row::Http, Subject::Ours, first_byte),
            &self.of(Row::Socks, Subject::Ours, first_byte),
        ));
        format!(
            "{HEADER}{rows}\n\
             * All there, no stream open, target at most × {MAX_WHOLE_RATIO:.2}: {}.\n\
             * Our first byte over HTTP to that over SOCKS, target at most × {MAX_FIRST_BYTE_RATIO:.2}: {}.\n",
            verdict(whole, MAX_WHOLE_RATIO),
            verdict(first_byte, MAX_FIRST_BYTE_RATIO)
        )
    }

    fn row(&self, row: Row) -> String {
        let cells = |value: Value| {
            let [ours, theirs] = [Subject::Ours, Subject::I2pd].map(|subject| self.of(row, subject, value));
            let both = format!("{} / {}", number(&ours), number(&theirs));
            (both, ratio(&ratios(&ours, &theirs)))
        };
        let ((streams, _), (first, first_ratio), (all, all_ratio)) =
            (cells(streams), cells(first_byte), cells(whole));
        format!("| {} | {streams} | {first} | {first_ratio} | {all} | {all_ratio} |\n", row.title())
    }

    fn of(&self, row: Row, subject: Subject, value: Value) -> Vec<f64> {
        let samples = self.0.iter().filter(|sample| (sample.0, sample.1) == (row, subject));
        samples.filter_map(|(.., sample)| value(sample)).collect()
    }
}

/// A value of a sample, for one column.
type Value = fn(&Sample) -> Option<f64>;

fn streams(sample: &Sample) -> Option<f64> {
    Some(sample.streams as f64)
}

fn first_byte(sample: &Sample) -> Option<f64> {
    Some(sample.first_byte.as_secs_f64() * 1e3)
}

fn whole(sample: &Sample) -> Option<f64> {
    Some(sample.whole?.as_secs_f64() * 1e3)
}

/// The ratio of each turn.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

fn number(values: &[f64]) -> String {
    median(values).map_or("–".into(), |median| match median.fract() == 0.0 {
        true => format!("{median}"),
        false => format_number(median),
    })
}

/// The median, and the range of the middle half.
fn ratio(ratios: &[f64]) -> String {
    let at = |percent| percentile(ratios, percent);
    match (median(ratios), at(25), at(75)) {
        (Some(median), Some(low), Some(high)) => format!("× {median:.2} ({low:.2} to {high:.2})"),
        _ => "–".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_has_a_ratio_and_the_targets_a_verdict() {
        let mut outcome = Outcome::default();
        let sample = |first, whole: Option<u64>, streams| Sample {
            first_byte: Duration::from_millis(first),
            whole: whole.map(Duration::from_millis),
            streams,
        };
        for (ours, theirs) in [(600, 1200), (700, 1000), (650, 1300)] {
            outcome.record(Row::First, Subject::Ours, sample(200, Some(ours), 6));
            outcome.record(Row::First, Subject::I2pd, sample(250, Some(theirs), 31));
            outcome.record(Row::Http, Subject::Ours, sample(200, None, 1));
            outcome.record(Row::Socks, Subject::Ours, sample(160, None, 1));
        }
        let table = outcome.table();
        for line in [
            "| no stream to the site is open | 6 / 31 | 200 / 250 | × 0.80 (0.80 to 0.80) | 650 / 1200 | × 0.50 (0.50 to 0.70) |",
            "| only the page, through SOCKS | 1 / – | 160 / – | – | – / – | – |",
            "* All there, no stream open, target at most × 0.70: × 0.50, met.",
            "target at most × 1.02: × 1.25, missed.",
        ] {
            assert!(table.contains(line), "{line}\n{table}");
        }
    }
}
